"""G-HTT at work on tracks of any tracker: poses refined, actions recognised, motion predicted. Needs `[torch]`."""
