// Package mid imports its neighbour.
package mid

import (
	_ "github.com/everup/everup/shared/low"
	_ "github.com/everup/everup/shared/side"
)
