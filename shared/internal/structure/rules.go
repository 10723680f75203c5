package structure

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// PackageDocs returns packages that no file says the purpose of. A package that declares nothing has none.
func PackageDocs(t *Tree) []Finding {
	first := map[string]*File{}
	told := map[string]bool{}
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		told[f.Dir()] = told[f.Dir()] || strings.TrimSpace(f.Syntax.Doc.Text()) != ""
		if !declares(f) {
			continue
		}
		if first[f.Dir()] == nil {
			first[f.Dir()] = f
		}
	}
	var out []Finding
	for dir, f := range first {
		if !told[dir] {
			out = append(out, Finding{f.Name, 0, "package " + f.Syntax.Name.Name + " has no package doc"})
		}
	}
	return sorted(out)
}

// declares reports whether the file has more than imports.
func declares(f *File) bool {
	return slices.ContainsFunc(f.Syntax.Decls, func(d ast.Decl) bool {
		gen, ok := d.(*ast.GenDecl)
		return !ok || gen.Tok != token.IMPORT
	})
}

// NoInit returns init functions: what runs is called by main.
func NoInit(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, f.at(fn, "func init is not used here"))
			}
		}
	}
	return sorted(out)
}

// NoExit returns calls that end the process outside package main; a test's own main may.
func NoExit(t *Tree) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Syntax.Name.Name == "main" || f.Test {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f.calls(call, "os", "Exit") || f.calls(call, "log", "Fatal", "Fatalf", "Fatalln") {
				out = append(out, f.at(call, "only package main ends the process"))
			}
			return true
		})
	}
	return sorted(out)
}

// calls reports whether call is of one of the functions of a standard package.
func (f *File) calls(call *ast.CallExpr, pkg string, names ...string) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains(names, sel.Sel.Name) {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == f.localName(pkg)
}

// localName returns the name under which the file imports a package, or "".
func (f *File) localName(pkg string) string {
	for _, spec := range f.Syntax.Imports {
		if spec.Path.Value != `"`+pkg+`"` {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return pkg[strings.LastIndexByte(pkg, '/')+1:]
	}
	return ""
}

// NoSleep returns calls of time.Sleep in tests outside a synctest bubble. Inside means: in a function literal
// given to synctest.Test or to a function whose name ends in InBubble, or in such a function. reviewed lists
// "file:function" for helpers that run in bubbles under another name.
func NoSleep(t *Tree, reviewed []string) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if !f.Test {
			continue
		}
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && (inBubble(fn.Name.Name) || slices.Contains(reviewed, f.Name+":"+fn.Name.Name)) {
				continue
			}
			out = append(out, f.sleeps(d)...)
		}
	}
	return sorted(out)
}

// inBubble reports whether a function says by its name that it runs in a bubble.
func inBubble(name string) bool { return strings.HasSuffix(strings.ToLower(name), "inbubble") }

// sleeps returns the sleeps below n, not entering bubbles.
func (f *File) sleeps(n ast.Node) []Finding {
	var out []Finding
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		switch {
		case !ok:
			return true
		case f.calls(call, "testing/synctest", "Test"), inBubble(calledName(call)):
			return false
		case f.calls(call, "time", "Sleep"):
			out = append(out, f.at(call, "a test sleeps outside a synctest bubble"))
		}
		return true
	})
	return out
}

// calledName returns the last name of what is called.
func calledName(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

// FileLength returns files of more lines than allowed, except those reviewed.
func FileLength(t *Tree, limit, testLimit int, reviewed []string) []Finding {
	var out []Finding
	for _, f := range t.Files {
		most := limit
		if f.Test {
			most = testLimit
		}
		if f.Lines > most && !slices.Contains(reviewed, f.Name) {
			out = append(out, Finding{f.Name, 0, fmt.Sprintf("has %d lines, more than %d", f.Lines, most)})
		}
	}
	return sorted(out)
}

// ExportedDocs returns exported types and functions below dir that have no doc comment. Methods are left to the
// reader: many say no more than the interface they fulfil.
func ExportedDocs(t *Tree, dir string) []Finding {
	var out []Finding
	for _, f := range t.Files {
		if f.Test || !strings.HasPrefix(f.Name, dir+"/") {
			continue
		}
		for _, d := range f.Syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.IsExported() && d.Doc.Text() == "" {
					out = append(out, f.at(d, "%s has no doc comment", d.Name.Name))
				}
			case *ast.GenDecl:
				out = append(out, f.undocumentedTypes(d)...)
			}
		}
	}
	return sorted(out)
}

func (f *File) undocumentedTypes(d *ast.GenDecl) []Finding {
	var out []Finding
	for _, s := range d.Specs {
		spec, ok := s.(*ast.TypeSpec)
		if !ok || d.Tok != token.TYPE || !spec.Name.IsExported() {
			continue
		}
		alone := len(d.Specs) == 1 && d.Doc.Text() != ""
		if !alone && spec.Doc.Text() == "" && spec.Comment.Text() == "" {
			out = append(out, f.at(spec, "type %s has no doc comment", spec.Name.Name))
		}
	}
	return out
}

var goLine = regexp.MustCompile(`(?m)^go (\S+)$`)

// GoLines returns modules whose go line differs from that of go.work.
func GoLines(t *Tree) ([]Finding, error) {
	version := func(name string) (string, error) {
		data, err := os.ReadFile(filepath.Join(t.Root, name))
		if err != nil {
			return "", fmt.Errorf("structure: read go lines: %w", err)
		}
		if m := goLine.FindSubmatch(data); m != nil {
			return string(m[1]), nil
		}
		return "none", nil
	}
	want, err := version("go.work")
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, m := range t.Modules {
		name := m + "/go.mod"
		got, err := version(name)
		if err != nil {
			return nil, err
		}
		if got != want {
			out = append(out, Finding{name, 0, fmt.Sprintf("the go line is %s, that of go.work %s", got, want)})
		}
	}
	return sorted(out), nil
}
