-- tag, now, limit
return sweep(ARGV[2], ARGV[3])
