"""What the machine offers: memory, cores, devices and number formats."""
