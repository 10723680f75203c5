package structure

import (
	"fmt"
	"slices"
	"strings"
)

// Order is who may import whom inside shared.
type Order struct {
	// Tiers lists the packages of each tier, the lowest first. A package may import those of lower tiers.
	Tiers [][]string
	// Beside lists, for a package, those of its own tier that it may import.
	Beside map[string][]string
	// Everywhere lists packages that all may import.
	Everywhere []string
	// TestOnly lists packages without a tier: they may import anything, and only tests, packages that help tests (their
	// names end in "test", as net/http/httptest's), and they themselves import them.
	TestOnly []string
}

// tier returns the tier of a package of shared, or -1.
func (o *Order) tier(pkg string) int {
	return slices.IndexFunc(o.Tiers, func(tier []string) bool { return slices.Contains(tier, pkg) })
}

// Check returns the imports that point the wrong way. The import of a package below shared/x counts as one of x.
func (o *Order) Check(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		from := place(f.Dir())
		if from.area == "shared" && from.name != "" && from.name != "internal" && o.tier(from.name) < 0 && !slices.Contains(o.TestOnly, from.name) {
			out = append(out, Finding{f.Name, 0, "shared/" + from.name + " has no tier"})
			continue
		}
		for _, imp := range f.Imports {
			if msg := o.judge(f, from, place(imp.Path)); msg != "" {
				out = append(out, Finding{f.Name, imp.Line, msg})
			}
		}
	}
	return sorted(out)
}

// location is the part of the workspace that a package belongs to.
type location struct {
	area string // "shared", "services", "deploy"
	name string // "conf", "lbd"
}

func place(dir string) location {
	area, rest, _ := strings.Cut(dir, "/")
	name, _, _ := strings.Cut(rest, "/")
	return location{area, name}
}

// judge returns what is wrong with an import, or "".
func (o *Order) judge(f *File, from, to location) string {
	same := from == to
	switch {
	case to.area == "services" && from.area == "shared":
		return "shared must not import a service"
	case to.area == "services" && from.area == "services" && !same:
		return fmt.Sprintf("%s must not import another service, %s", from.name, to.name)
	case to.area == "deploy" && from.area != "deploy":
		return from.area + " must not import deploy"
	case to.area != "shared" || same || f.Test || strings.HasSuffix(f.Dir(), "test"):
		return ""
	case slices.Contains(o.TestOnly, to.name):
		return fmt.Sprintf("shared/%s is for tests only", to.name)
	case from.area != "shared" || slices.Contains(o.TestOnly, from.name):
		return ""
	}
	return o.judgeTiers(from.name, to.name)
}

func (o *Order) judgeTiers(from, to string) string {
	low, high := o.tier(to), o.tier(from)
	switch {
	case slices.Contains(o.Everywhere, to), low >= 0 && low < high:
		return ""
	case low == high && slices.Contains(o.Beside[from], to):
		return ""
	case low == high:
		return fmt.Sprintf("%s must not import %s, of its own tier %d, unless that is reviewed", from, to, low)
	}
	return fmt.Sprintf("%s (tier %d) must not import %s (tier %d)", from, high, to, low)
}
