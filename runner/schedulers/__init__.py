"""When a backup is due, and what starts it then: systemd, cron, launchd, or the Task Scheduler of Windows."""
