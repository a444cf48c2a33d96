"""What each pane shows, as data: rows to cells, details to lines. Nothing here draws."""
