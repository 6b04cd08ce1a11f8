"""Checks of finished pixels: read `spec` (what a job asks for), then `checker` (how a picture is judged), then each
measure."""
