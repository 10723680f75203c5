package conf

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// scalar fills a value that is one text.
func (d *decoder) scalar(n *node, v reflect.Value, s *spec, p *path) bool {
	var ok bool
	switch s.kind {
	case stringKind:
		ok = d.stringValue(n, v, s, p)
	case boolKind:
		ok = d.boolValue(n, v, p)
	case textKind:
		ok = d.textValue(n, v, s, p)
	default:
		ok = d.numberValue(n, v, p)
	}
	return ok && d.checkEnum(n, s, p)
}

// stringValue takes text. Plain text that some YAML reader takes for something else must be quoted, unless the
// field's choices leave no doubt.
func (d *decoder) stringValue(n *node, v reflect.Value, s *spec, p *path) bool {
	switch {
	case n.kind != scalarNode:
		return d.wrong(n, p, "text", s.secret(), "")
	case n.null:
		return d.wrong(n, p, "text", s.secret(), `write "" for empty text, or remove the key`)
	case n.plain && !n.expanded && !slices.Contains(s.enum, n.text) && (looksNumeric(n.text) || isBoolWord(n.text)):
		return d.wrong(n, p, "text", s.secret(), quoteHint(n, s))
	}
	v.SetString(n.text)
	return d.notEmpty(n, len(n.text), s, p)
}

// quoteHint shows how plain text is quoted.
func quoteHint(n *node, s *spec) string {
	if s.secret() || len(n.text) > maxSuggest {
		return "write it in quotes"
	}
	if best, ok := nearest(n.text, s.enum); ok {
		return "did you mean " + strconv.Quote(best) + "?"
	}
	if len(s.enum) > 0 {
		return "one of " + strings.Join(s.enum, ", ")
	}
	return "write " + strconv.Quote(n.text) + " in quotes"
}

// boolValue takes true and false.
func (d *decoder) boolValue(n *node, v reflect.Value, p *path) bool {
	switch {
	case n.kind != scalarNode || n.null:
		return d.wrong(n, p, "true or false", false, "")
	case !n.plain && !n.expanded && (n.text == "true" || n.text == "false"):
		return d.wrong(n, p, "true or false", false, "write "+n.text+" without quotes")
	case n.text == "true" || n.text == "false":
		v.SetBool(n.text == "true")
		return true
	}
	hint := ""
	if !n.expanded {
		switch strings.ToLower(n.text) {
		case "yes", "on", "y", "1", "true", "enable", "enabled":
			hint = "write true"
		case "no", "off", "n", "0", "false", "disable", "disabled":
			hint = "write false"
		}
	}
	return d.wrong(n, p, "true or false", false, hint)
}

// numberValue takes plain decimals, or texts of them where they come from an expansion.
func (d *decoder) numberValue(n *node, v reflect.Value, p *path) bool {
	want := "a whole number"
	if v.CanFloat() {
		want = "a number"
	}
	switch {
	case n.kind != scalarNode || n.null:
		return d.wrong(n, p, want, false, "")
	case !n.plain && !n.expanded:
		hint := ""
		if isFraction(strings.TrimPrefix(n.text, "-")) {
			hint = "write " + n.text + " without quotes"
		}
		return d.wrong(n, p, want, false, hint)
	}
	err := parseNumber(n.text, v)
	if t, ok := errors.AsType[*textError](err); ok {
		if n.expanded || t.msg == "" {
			if !n.expanded && looksNumeric(n.text) {
				want += " in plain digits"
			}
			return d.wrong(n, p, want, false, unlessExpanded(n, t.hint))
		}
		d.errs.add(n.where, p, "is "+n.text+", "+t.msg, "")
		return false
	}
	return true
}

// unlessExpanded drops a hint that would tell what an expansion gave.
func unlessExpanded(n *node, hint string) string {
	if n.expanded {
		return ""
	}
	return hint
}

// parseNumber reads text into a number. Its errors are *textError; one without msg means that text is no such number.
func parseNumber(text string, v reflect.Value) error {
	digits := strings.TrimPrefix(text, "-")
	bits := v.Type().Bits()
	bad := &textError{hint: decimalHint(text, "")}
	var err error
	switch {
	case len(text) > maxSuggest:
		return bad
	case v.CanFloat():
		if !isFraction(digits) {
			return bad
		}
		var f float64
		f, err = strconv.ParseFloat(text, bits)
		v.SetFloat(f)
	case !isDecimal(digits):
		if isFraction(digits) {
			bad.hint = ""
		}
		return bad
	case v.CanInt():
		var i int64
		i, err = strconv.ParseInt(text, 10, bits)
		v.SetInt(i)
	case text != digits:
		return &textError{msg: "must not be negative"}
	default:
		var u uint64
		u, err = strconv.ParseUint(text, 10, bits)
		v.SetUint(u)
	}
	if err != nil {
		return &textError{msg: fmt.Sprintf("does not fit into %d bits", bits)}
	}
	return nil
}

// textValue lets the type read its text.
func (d *decoder) textValue(n *node, v reflect.Value, s *spec, p *path) bool {
	if n.kind != scalarNode || n.null {
		return d.wrong(n, p, "a value", s.secret(), "")
	}
	if n.text == "" && s.field && !v.CanInt() && !v.CanUint() && !v.CanFloat() {
		v.SetZero()
		return d.notEmpty(n, 0, s, p)
	}
	u, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	if !ok {
		u = v.Interface().(encoding.TextUnmarshaler)
	}
	err := u.UnmarshalText([]byte(n.text))
	if err == nil {
		return true
	}
	msg, hint := n.subject()+" is not valid", ""
	if t, ok := errors.AsType[*textError](err); ok {
		msg, hint = n.subject()+" "+t.msg, unlessExpanded(n, t.hint)
	} else if !n.expanded {
		msg += ": " + err.Error()
	}
	d.errs.add(n.where, p, msg, hint)
	return false
}

// checkEnum records a text that is not among the choices.
func (d *decoder) checkEnum(n *node, s *spec, p *path) bool {
	if len(s.enum) == 0 || slices.Contains(s.enum, n.text) {
		return true
	}
	if n.text == "" && s.field && !s.required {
		return true
	}
	hint := ""
	if best, ok := nearest(n.text, s.enum); ok && !n.expanded {
		hint = "did you mean " + strconv.Quote(best) + "?"
	}
	d.errs.add(n.where, p, n.subject()+" is not one of "+strings.Join(s.enum, ", "), hint)
	return false
}

// hintList joins names for a hint, if they are few.
func hintList(names []string) string {
	if len(names) > maxListed {
		names = append(slices.Clone(names[:maxListed]), "…")
	}
	return strings.Join(names, ", ")
}
