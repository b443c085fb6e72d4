"""What is handed in to the Quality Payment Program: judged, merged, written from reports, sent."""
