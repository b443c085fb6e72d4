"""What the API, the command line and the dashboard have done: plain functions over store and engine."""
