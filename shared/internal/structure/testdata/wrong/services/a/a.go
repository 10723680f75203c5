// Package a imports what it must not.
package a

import (
	_ "github.com/everup/everup/services/a/internal/x"
	_ "github.com/everup/everup/services/b"
	_ "github.com/everup/everup/shared/labtest"
)
