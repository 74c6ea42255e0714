-- tag, what has ended long ago, limit
return sweep(ARGV[2], ARGV[3])
