// Package structure checks how the workspace is built: which package may import which, and the rules of the house that
// no compiler and no linter knows. It parses the source files of all modules that go.work uses; its own tests run the
// rules over the workspace and over small wrong trees in testdata, to show that each rule can fail.
package structure

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Prefix is the module path that all modules of the workspace share, with a final slash.
const Prefix = "github.com/everup/everup/"

// Finding is one place that breaks a rule.
type Finding struct {
	File string // relative to the workspace, with slashes
	Line int    // 0 for the whole file
	Msg  string
}

// String returns "file:line: message".
func (f Finding) String() string {
	if f.Line == 0 {
		return f.File + ": " + f.Msg
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Msg)
}

// File is a parsed source file.
type File struct {
	Name    string // relative to the workspace, with slashes
	Lines   int
	Test    bool
	Syntax  *ast.File
	Imports []Import

	set *token.FileSet
}

// Import is an import of a package of the workspace.
type Import struct {
	Path string // without Prefix: "shared/conf"
	Line int
}

// Dir returns the file's directory, which names its package: "shared/conf".
func (f *File) Dir() string { return path.Dir(f.Name) }

// at returns a finding at a node.
func (f *File) at(n ast.Node, format string, args ...any) Finding {
	return Finding{f.Name, f.set.Position(n.Pos()).Line, fmt.Sprintf(format, args...)}
}

// Tree is a parsed workspace.
type Tree struct {
	Root    string
	Modules []string // directories relative to Root: "shared", "services/lbd"
	Files   []*File  // hand-written Go files outside testdata
}

var useLine = regexp.MustCompile(`(?m)^(?:use)?\s*\./(\S+)\s*$`)

// Read parses the workspace whose go.work lies in root.
func Read(root string) (*Tree, error) {
	work, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, fmt.Errorf("structure: read workspace: %w", err)
	}
	t := &Tree{Root: root}
	for _, m := range useLine.FindAllSubmatch(work, -1) {
		t.Modules = append(t.Modules, string(m[1]))
	}
	if len(t.Modules) == 0 {
		return nil, errors.New("structure: read workspace: go.work uses no module")
	}
	for _, m := range t.Modules {
		if err := filepath.WalkDir(filepath.Join(root, m), t.visit); err != nil {
			return nil, fmt.Errorf("structure: read module %s: %w", m, err)
		}
	}
	return t, nil
}

// visit adds a Go file to the tree; it stays out of directories that the go command ignores.
func (t *Tree) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := d.Name()
	if d.IsDir() {
		if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return fs.SkipDir
		}
		return nil
	}
	if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
		return nil
	}
	f, err := parse(t.Root, name)
	if err == nil && !ast.IsGenerated(f.Syntax) {
		t.Files = append(t.Files, f)
	}
	return err
}

func parse(root, name string) (*File, error) {
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &File{
		Name:   filepath.ToSlash(rel),
		Lines:  set.File(syntax.FileStart).LineCount(),
		Test:   strings.HasSuffix(name, "_test.go"),
		Syntax: syntax,
		set:    set,
	}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if p, ok := strings.CutPrefix(p, Prefix); ok {
			f.Imports = append(f.Imports, Import{p, set.Position(spec.Pos()).Line})
		}
	}
	return f, nil
}

// sorted puts findings in the order of files and lines.
func sorted(found []Finding) []Finding {
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Msg, b.Msg))
	})
	return found
}
