package low

import _ "github.com/everup/everup/shared/labtest"
