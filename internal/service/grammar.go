package service

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/cosmos-almanac/almanac/internal/config"
)

// grammar is the command line: the frame's own flags and verbs, the program's
// commands, and one hidden flag for every setting of almanac.yaml.
type grammar struct {
	File   string `name:"config" placeholder:"FILE" help:"Configuration file; default: $ALMANAC_CONFIG, then ./almanac.yaml."`
	Output Format `short:"o" enum:"text,json" default:"text" help:"Format of results: text or json."`

	kong.Plugins // the program's commands and the settings

	Config  configCommands `cmd:"" help:"Show the configuration."`
	Version struct{}       `cmd:"" help:"Print the version; --version does too."`

	settings reflect.Value // of a struct with one *string per setting
}

// Format is the form in which a command prints its result.
type Format string

const (
	// Text is for people.
	Text Format = "text"
	// JSON is for programs: one value per result.
	JSON Format = "json"
)

func newGrammar(program Program) *grammar {
	settings := reflect.New(settingsType())
	return &grammar{
		Plugins:  kong.Plugins{program.Commands(), settings.Interface()},
		settings: settings.Elem(),
	}
}

// settingsType makes the kong struct of the settings from config's table. The
// flags are hidden from --help, which would otherwise be two screens of them.
func settingsType() reflect.Type {
	var fields []reflect.StructField
	for i, setting := range config.Settings() {
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("Setting%d", i),
			Type: reflect.TypeFor[*string](),
			Tag:  reflect.StructTag(fmt.Sprintf(`name:%q help:%q hidden:""`, setting.Flag, setting.Help)),
		})
	}
	return reflect.StructOf(fields)
}

// overrides are the settings that were given as flags, by path.
func (g *grammar) overrides() map[string]string {
	out := map[string]string{}
	for i, setting := range config.Settings() {
		if value, ok := g.settings.Field(i).Interface().(*string); ok && value != nil {
			out[setting.Path] = *value
		}
	}
	return out
}

// load reads the configuration that the command line and environ name.
func (g *grammar) load(environ []string) (*config.Config, error) {
	path := config.DefaultPath
	if named := lookup(environ, config.Prefix+"CONFIG"); named != "" {
		path = named
	}
	if g.File != "" {
		path = g.File
	}
	return config.Load(path, environ, g.overrides())
}

func lookup(environ []string, name string) string {
	value := ""
	for _, pair := range environ {
		if rest, ok := strings.CutPrefix(pair, name+"="); ok {
			value = rest // the last one counts, as in os/exec
		}
	}
	return value
}

// help is kong's, with examples, what the settings are, and the exit codes.
func (p Program) help(options kong.HelpOptions, ctx *kong.Context) error {
	var out strings.Builder
	stdout := ctx.Stdout
	ctx.Stdout = &out
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = stdout
	if err != nil {
		return err
	}
	page := choices(ctx.Selected()).Replace(out.String())
	out.Reset()
	out.WriteString(page)
	out.WriteString("\nExamples:\n")
	for _, example := range p.examplesOf(ctx.Selected()) {
		fmt.Fprintf(&out, "  # %s\n  %s\n", example.About, example.Line)
	}
	fmt.Fprintf(&out, `
Every key of %[1]s outside containers is a flag and a variable too:
  kafka.session_timeout = --kafka-session-timeout = %[2]sKAFKA_SESSION_TIMEOUT
Flag over variable over file over default. "%[3]s config print" explains every
setting and shows its value and origin.

Exit codes:
  0  done, or stopped when asked to
  1  may succeed when started again (network, storage, interrupted)
  2  usage or configuration
  3  halted: data contradicts the format, or an operator must decide; a restart changes nothing
  4  compared, and different
`, config.DefaultPath, config.Prefix, p.Name)
	_, err = ctx.Stdout.Write([]byte(out.String()))
	return err
}

// choices makes `--at=POINT --before=TIME`, as kong writes flags of which one is required, `(--at=POINT | --before=TIME)`.
func choices(command *kong.Node) *strings.Replacer {
	var groups []string
	flags := map[string][]string{}
	for command != nil {
		for _, flag := range command.Flags {
			if flag.Required && len(flag.Xor) == 1 {
				if flags[flag.Xor[0]] == nil {
					groups = append(groups, flag.Xor[0])
				}
				flags[flag.Xor[0]] = append(flags[flag.Xor[0]], flag.Summary())
			}
		}
		command = command.Parent
	}
	var pairs []string
	for _, group := range groups {
		pairs = append(pairs, strings.Join(flags[group], " "), "("+strings.Join(flags[group], " | ")+")")
	}
	return strings.NewReplacer(pairs...)
}

// examplesOf are those of the command, or all if it has fewer than two.
func (p Program) examplesOf(command *kong.Node) []Example {
	if command == nil {
		return p.Examples
	}
	var own []Example
	for _, example := range p.Examples {
		if strings.HasPrefix(example.Line+" ", p.Name+" "+command.Path()+" ") {
			own = append(own, example)
		}
	}
	if len(own) < 2 {
		return p.Examples
	}
	return own
}

// configCommands are the verbs below `config`.
type configCommands struct {
	Print configPrint `cmd:"" help:"Print every setting: what it is, its effective value and its origin; secrets as ***."`
}

type configPrint struct{}

func (configPrint) Run(env *Env) error {
	return env.Print(env.Config, env.Config.WriteYAML)
}
