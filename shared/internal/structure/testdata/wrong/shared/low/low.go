// Package low breaks the tiers.
package low

import (
	_ "github.com/everup/everup/services/a"
	_ "github.com/everup/everup/shared/fault"
	_ "github.com/everup/everup/shared/top"
)
