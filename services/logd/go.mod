module github.com/everup/everup/services/logd

go 1.26.0

require (
	github.com/everup/everup/shared v0.0.0
	github.com/google/go-cmp v0.7.0
	github.com/rs/zerolog v1.35.1
	golang.org/x/sys v0.49.0
)

replace github.com/everup/everup/shared => ../../shared
