// Package config finds out which server the command line talks to and where
// the data lies: from flags, the environment, Orion's own profiles and those
// that Prefect keeps. Each value knows where it came from. Start with [Load].
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Setting is a name with its value and where it came from.
type Setting struct {
	Name, Value, Source string
}

// The settings that the command line reads.
const (
	APIURL   = "api_url"
	APIKey   = "api_key"
	Home     = "home"
	Database = "database_url"
)

// Names lists the settings with one sentence each, in the order they are shown.
var Names = []struct{ Name, Help string }{
	{APIURL, "the API of the server that commands talk to"},
	{APIKey, "the key they show there"},
	{Home, "the folder of the database, environments and profiles"},
	{Database, "PostgreSQL in place of SQLite in the data folder: postgres://user:password@host/name"},
}

// DefaultAPIURL is where a server started without options answers.
const DefaultAPIURL = "http://127.0.0.1:4200/api"

// Config is the settings in force.
type Config struct {
	values  map[string]Setting
	file    profiles
	Profile string // the profile in use
}

type profiles struct {
	Active   string                       `toml:"active"`
	Profiles map[string]map[string]string `toml:"profiles"`
}

// Dir is the folder that holds Orion's data: ORION_HOME, else ~/.orion.
func Dir() string {
	if h := os.Getenv("ORION_HOME"); h != "" {
		return h
	}
	h, err := os.UserHomeDir()
	if err != nil {
		h = "."
	}
	return filepath.Join(h, ".orion")
}

func path() string { return filepath.Join(Dir(), "profiles.toml") }

// Load reads the settings: a flag's value wins over ORION_… variables, those
// over PREFECT_… ones, those over the active profile of Orion and then of
// Prefect.
func Load(flags map[string]string) (*Config, error) {
	c := &Config{values: map[string]Setting{}}
	if err := c.read(); err != nil {
		return nil, err
	}
	set := func(name, value, source string) {
		if value != "" {
			c.values[name] = Setting{name, value, source}
		}
	}
	set(APIURL, DefaultAPIURL, "default")
	set(Home, Dir(), "default")
	prefect, where := prefectProfile()
	set(APIURL, prefect["PREFECT_API_URL"], where)
	set(APIKey, prefect["PREFECT_API_KEY"], where)
	for _, n := range Names {
		set(n.Name, c.file.Profiles[c.Profile][n.Name], `profile "`+c.Profile+`"`)
	}
	for _, v := range []struct{ env, name string }{
		{"PREFECT_API_URL", APIURL}, {"PREFECT_API_KEY", APIKey},
		{"ORION_API_URL", APIURL}, {"ORION_API_KEY", APIKey}, {"ORION_HOME", Home}, {"ORION_DATABASE_URL", Database},
	} {
		set(v.name, os.Getenv(v.env), v.env)
	}
	for name, value := range flags {
		set(name, value, "flag")
	}
	return c, nil
}

func (c *Config) read() error {
	b, err := os.ReadFile(path())
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := toml.Unmarshal(b, &c.file); err != nil {
		return fmt.Errorf("%s cannot be read: %w", path(), err)
	}
	if c.file.Profiles == nil {
		c.file.Profiles = map[string]map[string]string{}
	}
	c.Profile = c.file.Active
	if p := os.Getenv("ORION_PROFILE"); p != "" {
		c.Profile = p
	}
	if c.Profile == "" {
		c.Profile = "default"
	}
	return nil
}

// prefectProfile reads the profile that Prefect's own command line would use.
func prefectProfile() (map[string]string, string) {
	home := os.Getenv("PREFECT_HOME")
	if home == "" {
		h, err := os.UserHomeDir()
		if err != nil {
			return nil, ""
		}
		home = filepath.Join(h, ".prefect")
	}
	file := os.Getenv("PREFECT_PROFILES_PATH")
	if file == "" {
		file = filepath.Join(home, "profiles.toml")
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, ""
	}
	var p struct {
		Active   string                    `toml:"active"`
		Profiles map[string]map[string]any `toml:"profiles"`
	}
	if toml.Unmarshal(b, &p) != nil {
		return nil, ""
	}
	if a := os.Getenv("PREFECT_PROFILE"); a != "" {
		p.Active = a
	}
	out := map[string]string{}
	for k, v := range p.Profiles[p.Active] {
		out[k] = fmt.Sprint(v)
	}
	return out, fmt.Sprintf("Prefect's profile %q", p.Active)
}

// Get is a setting's value, "" when it has none.
func (c *Config) Get(name string) string { return c.values[name].Value }

// Source says where a setting came from.
func (c *Config) Source(name string) string { return c.values[name].Source }

// All lists the settings that have a value; keys are masked.
func (c *Config) All() []Setting {
	var out []Setting
	for _, n := range Names {
		s, ok := c.values[n.Name]
		if !ok {
			continue
		}
		if n.Name == APIKey {
			s.Value = "********"
		}
		if i, j := strings.Index(s.Value, "://"), strings.LastIndex(s.Value, "@"); n.Name == Database && i >= 0 && j > i {
			s.Value = s.Value[:i+3] + "********" + s.Value[j:]
		}
		out = append(out, s)
	}
	return out
}

// Set writes a setting to the active profile; an empty value removes it.
func (c *Config) Set(name, value string) error {
	known := false
	for _, n := range Names {
		known = known || n.Name == name
	}
	if !known || name == Home {
		return fmt.Errorf("%q is no setting of a profile; there are %s, %s and %s", name, APIURL, APIKey, Database)
	}
	p := c.file.Profiles[c.Profile]
	if p == nil {
		p = map[string]string{}
		c.file.Profiles[c.Profile] = p
	}
	if value == "" {
		delete(p, name)
	} else {
		p[name] = value
	}
	return c.write()
}

// Profiles lists the profiles by name.
func (c *Config) Profiles() []string {
	out := []string{}
	for n := range c.file.Profiles {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// Create makes an empty profile.
func (c *Config) Create(profile string) error {
	if _, ok := c.file.Profiles[profile]; ok {
		return fmt.Errorf("the profile %q is there already", profile)
	}
	c.file.Profiles[profile] = map[string]string{}
	return c.write()
}

// Use makes a profile the active one.
func (c *Config) Use(profile string) error {
	if _, ok := c.file.Profiles[profile]; !ok {
		return fmt.Errorf("there is no profile %q; make it with: orion profile create %s", profile, profile)
	}
	c.file.Active = profile
	return c.write()
}

// write replaces the file as a whole, so that an interruption leaves the old
// or the new one. It may hold a key and is for its owner only.
func (c *Config) write() error {
	b, err := toml.Marshal(c.file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(Dir(), 0o700); err != nil {
		return err
	}
	tmp := path() + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp, path()))
}
