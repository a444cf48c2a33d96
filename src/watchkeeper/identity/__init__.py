"""Principals: enrolment, credentials, runs and their short-lived tokens; people's tokens."""
