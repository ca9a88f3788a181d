"""What a backtest takes for granted, one file each: settings for a reader, and the rule that the step follows."""
