"""The process that serves: settings, listeners, timers, ordered start and stop."""
