package config

import (
	"strings"
	"testing"

	"github.com/everup/everup/shared/conf"
)

func TestAccessLog(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte("access_log: "+yaml+"\n"), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", yaml, got, strings.Join(want, "\n"))
		}
		if err == nil {
			for i := range c.AccessLog {
				c.AccessLog[i].Spec("n")
			}
		}
	}
	f("{}")
	f("{stdout: false}")
	f("{syslog: 'h:514', stdout: true}")
	f("[{file: /var/log/a.log, format: json}, {stdout: true, format: json, fields: [client, header.Accept]}, {stdout: true, format: template, template: '$client $(duration)s'}]")
	f("{format: json}", "f:1:13: access_log: is written nowhere (give syslog, file or stdout)")
	f("{file: log/a, slow: 2s}", `f:1:20: access_log.file: "log/a" is no clean absolute path (write it like /var/log/everup/access.log)`)
	f("{stdout: true, format: template}", "f:1:36: access_log.format: has no template (give template)")
	f("{stdout: true, template: '$client'}", "f:1:38: access_log.template: is for another format (give format: template)")
	f("{stdout: true, fields: [client]}", "f:1:36: access_log.fields: are for another format (give format: json)")
	f("{stdout: true, format: template, template: '$clent'}", `f:1:56: access_log.template: unknown variable "clent" (did you mean "client"?)`)
	f("{stdout: true, format: template, template: '$'}", "f:1:56: access_log.template: ends in a $ (write $$ for the character itself)")
	f("[{stdout: true, format: json, fields: [client, stauts]}]", `f:1:60: access_log[0].fields[1]: unknown variable "stauts" (did you mean "status"?)`)
	f("{stdout: true, sample: {2xx: 0}}", "f:1:42: access_log.sample.2xx: is 0, must be from 1 to 1000000")
}
