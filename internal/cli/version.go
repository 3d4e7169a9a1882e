package cli

import "runtime/debug"

// version is set by the linker: -X github.com/elector-dev/elector/internal/cli.version=v1.2.3.
var version string

// Version names this build: what the linker was told, else the module's version, else the commit.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
