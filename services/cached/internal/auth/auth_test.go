package auth

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
)

// login is "user password", told apart by the first blank.
func check(u interface {
	Check(user, password []byte) bool
}, login string) bool {
	user, password, _ := strings.Cut(login, " ")
	return u.Check([]byte(user), []byte(password))
}

func TestParseFileWarnings(t *testing.T) {
	f := func(content string, want ...string) {
		t.Helper()
		_, got, err := ParseFile([]byte(content))
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got)\n%s", content, d)
		}
	}
	eight := strings.Repeat("u:p\n", 8)
	f("u:p")
	f(eight)
	f(eight+"\n", "only the first 8 lines are read")
	f("", "there are no users: nobody can log in")
	f("u:p\nu v:p\nu:p q\nu:\n:p\n",
		"line 2 has a blank in user or password; clients cannot send that", "line 3 has a blank in user or password; clients cannot send that",
		"line 4 has an empty user or password; clients cannot send that", "line 5 has an empty user or password; clients cannot send that")
	f("u:" + strings.Repeat("a", 252) + "\nv:b\n")
	f("u:" + strings.Repeat("a", 253) + "\n")
	f("u:"+strings.Repeat("a", 253)+"\nv:b\n", "line 1 has 255 bytes; the lines behind it are not read")
	f("u:"+strings.Repeat("a", 254)+"\n", "line 1 is longer than 255 bytes; nothing behind them is read")
	f("u:a\x00b\nv:c\n", "line 1 holds a zero byte; nothing behind it is read")
}

func TestParseFileErrors(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		u, _, err := ParseFile([]byte(content))
		if err == nil || err.Error() != want || !errors.Is(err, fault.Config) || u != nil {
			t.Errorf("%q: users %v, error %v; want %s", content, u, err, want)
		}
	}
	f("u:p\n\n", "line 2 is not user:password")
	f("# comment\n", "line 1 is not user:password")
	f("\x00:p\n", "line 1 is not user:password")
	f(strings.Repeat("x", 300)+":y\n", "line 1 is not user:password")
}

func TestDatabase(t *testing.T) {
	f := func(content, login string, want bool) {
		t.Helper()
		u, _, err := ParseDatabase([]byte(content))
		if err != nil {
			t.Fatal(err)
		}
		if got := check(u, login); got != want {
			t.Errorf("%q: login %q: %v, want %v", content, login, got, want)
		}
	}
	const two = "# comment\nbob:secret\r\n\nann:a:b:c"
	f(two, "bob secret", true)
	f(two, "bob secre", false)
	f(two, "bob secretx", false)
	f(two, "bob ", false)
	f(two, "", false)
	f(two, "ann a", true)
	f(two, "ann a:b", true)
	f(two, "ann a:b:c", true)
	f(two, "ann a:", false)
	f(two, "ann b", false)
	f(two, "# comment", false)
	f("u:1\nu:2\n", "u 1", true)
	f("u:1\nu:2\n", "u 2", false)
	f("u:\n", "u ", true)
	f("u:a b\n", "u a b", true)
	f("u:"+strings.Repeat("a", 251), "u "+strings.Repeat("a", 251), true)
	f("u:"+strings.Repeat("a", 252), "u "+strings.Repeat("a", 252), false)
	f("u:a\x00b\n", "u a", false)
}

func TestDatabaseBoundsAndWarnings(t *testing.T) {
	_, _, err := ParseDatabase(make([]byte, MaxDatabase+1))
	if !errors.Is(err, fault.Full) {
		t.Errorf("too large: %v", err)
	}
	var many bytes.Buffer
	for i := range 1000 {
		many.WriteString(strings.Repeat("u", 1+i%50) + string(rune('a'+i/50)) + strings.Repeat(":", 150) + "\n")
	}
	if _, _, err = ParseDatabase(many.Bytes()); !errors.Is(err, fault.Full) {
		t.Errorf("too many passwords: %v", err)
	}
	_, warnings, err := ParseDatabase([]byte("#\n\nu:1\nu:2\n"))
	if d := cmp.Diff([]string{"2 lines are not user:password and were skipped", "1 lines name a user again and were skipped"}, warnings); d != "" || err != nil {
		t.Error(err, d)
	}
}

func TestUsersKeepUserAndPasswordApart(t *testing.T) {
	u, _, _ := ParseFile([]byte("ab:c\n"))
	if !check(u, "ab c") || check(u, "a bc") || check(u, "abc ") {
		t.Error("user and password run together")
	}
	if new(Users).Check(nil, nil) {
		t.Error("nobody may log in by the zero value")
	}
}

func TestReloadKeepsTheOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth")
	put := func(content string, mode os.FileMode) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	put("u:1\n", 0o600)
	f, warnings, err := Open(path, Lines)
	if err != nil || warnings != nil {
		t.Fatal(warnings, err)
	}
	put("broken\n", 0o600)
	if _, err = f.Reload(path); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), path+": line 1 is not") {
		t.Errorf("a broken file: %v", err)
	}
	if !check(f, "u 1") {
		t.Error("the old users are gone")
	}
	if _, err = f.Reload(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	put("u:2\n", 0o666)
	warnings, err = f.Reload(path)
	want := []string{"every user of this host may read the passwords (mode 0666)", "others than its owner may change the passwords (mode 0666)"}
	if d := cmp.Diff(want, warnings); d != "" || err != nil || check(f, "u 1") || !check(f, "u 2") {
		t.Errorf("error %v, %d users (-want +got)\n%s", err, f.Len(), d)
	}
}

func TestOpenOddFiles(t *testing.T) {
	if _, _, err := Open(t.TempDir(), Lines); !errors.Is(err, fault.Config) {
		t.Errorf("a directory: %v", err)
	}
	f, warnings, err := Open("/dev/null", Lines)
	if err != nil || len(warnings) != 1 || f.Len() != 0 {
		t.Errorf("/dev/null: %v, %q", err, warnings)
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("u:p\n"), MaxDatabase/4+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(big, Database); !errors.Is(err, fault.Full) {
		t.Errorf("a large database: %v", err)
	}
	if _, warnings, err := Open(big, Lines); err != nil || len(warnings) != 1 {
		t.Errorf("a large file of lines: %v, %q", err, warnings)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range files {
		f.Add([]byte(c.content))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, warnings, err := ParseFile(b)
		if (u == nil) != (err != nil) || err == nil && (u.Len() > MaxLines || len(warnings) > MaxLines+2) {
			t.Fatalf("users %v, %d warnings, error %v", u, len(warnings), err)
		}
		if err == nil && len(b) > 0 {
			line, _, _ := bytes.Cut(b[:min(len(b), MaxLine)], []byte{'\n'})
			user, password, _ := bytes.Cut(line, []byte{':'})
			if i := bytes.IndexAny(password, "\r\x00"); i >= 0 {
				password = password[:i]
			}
			if !u.Check(user, password) || u.Check(user, append(password[:len(password):len(password)], 'x')) && u.Len() == 1 {
				t.Fatalf("the first line's user cannot log in, or with a longer password")
			}
		}
		if u, _, err := ParseDatabase(b); err == nil && u.Len() > MaxPasswords {
			t.Fatalf("%d passwords", u.Len())
		}
	})
}
