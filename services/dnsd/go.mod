module github.com/everup/everup/services/dnsd

go 1.26.0

require github.com/everup/everup/shared v0.0.0

replace github.com/everup/everup/shared => ../../shared
