module github.com/everup/everup/shared

go 1.26.0
