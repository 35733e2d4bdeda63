"""What roar can do: functions over records that take what they need as arguments and return values."""
