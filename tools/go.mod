module github.com/everup/everup/tools

go 1.26.0
