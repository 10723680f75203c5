package labtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Runner answers one command of a script with its trace.
type Runner func(cmd string, args []string, input string) string

// Script runs each file of the directory as a subtest: its commands go in order to one Runner, made by start, and the
// answers are compared with the file; under -rewrite the file is written anew. A file is
//
//	# comment
//	command arg arg=value
//	input, any number of lines
//	----
//	answer, any number of lines but no empty one
//
// with an empty line after each answer. An answer that holds empty lines stands between two lines "----" twice:
//
//	command
//	----
//	----
//	answer
//
//	with an empty line
//	----
//	----
func Script(t *testing.T, dir string, start func(t *testing.T) Runner) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("script: no *.txt in %s (%v)", dir, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("script: %v", err)
			}
			compareFile(t, path, replay(string(text), start(t)))
		})
	}
}

// rule separates a command with its input from the answer.
const rule = "----"

// replay returns the script with the runner's answers in place of those in the text.
func replay(text string, run Runner) string {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for len(lines) > 0 {
		line := lines[0]
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			out.WriteString(line + "\n")
			lines = lines[1:]
			continue
		}
		var input []string
		input, lines = takeInput(lines[1:])
		lines = skipAnswer(lines)
		word := strings.Fields(line)
		out.WriteString(strings.Join(append([]string{line}, input...), "\n") + "\n" + rule + "\n")
		out.WriteString(framed(run(word[0], word[1:], strings.Join(input, "\n"))))
	}
	return out.String()
}

// takeInput returns the lines before the rule and those after it. Input without a rule, as in a script newly begun,
// ends at an empty line.
func takeInput(lines []string) (input, rest []string) {
	for i, l := range lines {
		switch l {
		case rule:
			return lines[:i], lines[i+1:]
		case "":
			return lines[:i], lines[i:]
		}
	}
	return lines, nil
}

// skipAnswer drops the lines of an answer.
func skipAnswer(lines []string) []string {
	if len(lines) > 0 && lines[0] == rule {
		for i := 1; i+1 < len(lines); i++ {
			if lines[i] == rule && lines[i+1] == rule {
				return lines[i+2:]
			}
		}
	}
	for i, l := range lines {
		if l == "" {
			return lines[i:]
		}
	}
	return nil
}

// framed returns the answer as it stands in the file.
func framed(answer string) string {
	answer = strings.TrimRight(answer, "\n")
	switch {
	case answer == "":
		return ""
	case strings.HasPrefix(answer, "\n") || strings.Contains(answer, "\n\n"):
		return rule + "\n" + answer + "\n" + rule + "\n" + rule + "\n"
	default:
		return answer + "\n"
	}
}
