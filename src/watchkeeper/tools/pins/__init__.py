"""Pins: which definition of each upstream tool is trusted, and what is offered instead."""
