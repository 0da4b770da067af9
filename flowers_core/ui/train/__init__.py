"""What the pages Train and Compare show."""
