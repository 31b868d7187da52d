package scaffold

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// answer gets the answer to one question: the given one, else the user's, else the
// default. check may refuse or tidy it; nil accepts everything.
func answer(o Options, q Question, check func(string) (string, error)) (string, error) {
	accept := func(text string) (string, error) {
		if len(q.Choices) > 0 && !slices.Contains(q.Choices, text) {
			return "", fmt.Errorf("%w: %s is %q, it must be one of: %s", errInvalid, q.Name, text, strings.Join(q.Choices, ", "))
		}
		if check == nil {
			return text, nil
		}
		return check(text)
	}
	if given, ok := o.Answers[q.Name]; ok {
		return accept(given)
	}
	if o.Ask == nil {
		return accept(q.Default)
	}
	for {
		text, err := o.Ask(q)
		if err != nil {
			return "", fmt.Errorf("asking for %s: %w", q.Name, err)
		}
		if text == "" {
			text = q.Default
		}
		accepted, err := accept(text)
		if !errors.Is(err, errInvalid) {
			return accepted, err
		}
		o.Log(err.Error())
	}
}

// collect answers what cookiecutter.json asks: plain variables and choices first and
// objects last, because the members of an object may use every other answer.
func (s *source) collect(o Options, output string) (*object, error) {
	if err := s.checkNames(o.Answers); err != nil {
		return nil, err
	}
	answers := newObject()
	prompts, _ := s.settings.values["__prompts__"].(*object)
	for _, objects := range []bool{false, true} {
		for _, name := range s.settings.names {
			raw := s.settings.values[name]
			_, isObject := raw.(*object)
			private := strings.HasPrefix(name, "_")
			rendered := !private || strings.HasPrefix(name, "__")
			switch {
			case name == "__prompts__":
				continue
			case isObject != objects && rendered:
				continue
			case !rendered:
				answers.set(name, s.private(name, o.Answers))
				continue
			}
			value, err := s.ask(o, name, raw, answers, prompts)
			if err != nil {
				return nil, err
			}
			answers.set(name, value)
		}
	}
	answers = s.inOrder(answers)
	answers.set("_template", s.name)
	answers.set("_output_dir", output)
	answers.set("_repo_dir", s.dir)
	answers.set("_checkout", nil)
	return answers, nil
}

// inOrder puts the answers, which were collected in two passes, back in the order of
// cookiecutter.json: a template may loop over them.
func (s *source) inOrder(answers *object) *object {
	ordered := newObject()
	for _, name := range s.settings.names {
		if answers.has(name) {
			ordered.set(name, answers.values[name])
		}
	}
	return ordered
}

// checkNames refuses answers to questions that the template does not ask: most likely
// a flag was mistyped, and its value would be lost without a word.
func (s *source) checkNames(answers map[string]string) error {
	for name := range answers {
		if name != "template" && !s.settings.has(name) {
			return fmt.Errorf("template %s has no question %q; it asks for: %s", s.name, name, strings.Join(s.settings.public(), ", "))
		}
	}
	return nil
}

func (s *source) private(name string, given map[string]string) any {
	if text, ok := given[name]; ok {
		return text
	}
	return s.settings.values[name]
}

// ask renders the default of one variable and gets its value.
func (s *source) ask(o Options, name string, raw any, answers, prompts *object) (any, error) {
	jinja, err := newJinja(s, answers)
	if err != nil {
		return nil, err
	}
	value, err := jinja.variable(raw)
	if err != nil {
		return nil, fmt.Errorf("template %s: cookiecutter.json, %s: %w", s.name, name, err)
	}
	if strings.HasPrefix(name, "_") {
		if text, ok := o.Answers[name]; ok {
			return text, nil
		}
		return value, nil
	}

	question := Question{Name: name, Prompt: promptFor(prompts, name)}
	switch v := value.(type) {
	case []any:
		if len(v) == 0 {
			return nil, fmt.Errorf("template %s: cookiecutter.json, %s: the list of choices is empty", s.name, name)
		}
		for _, choice := range v {
			question.Choices = append(question.Choices, textOf(choice))
		}
		question.Default = question.Choices[0]
		return answer(o, question, nil)
	case bool:
		question.Default = strconv.FormatBool(v)
		text, err := answer(o, question, func(text string) (string, error) {
			yes, ok := parseBool(text)
			if !ok {
				return "", fmt.Errorf("%w: %s is %q, it must be yes or no", errInvalid, name, text)
			}
			return strconv.FormatBool(yes), nil
		})
		return text == "true", err
	case *object:
		question.Default = toJSON(v, -1, false)
		var members *object
		_, err := answer(o, question, func(text string) (string, error) {
			parsed, err := parseObject(text)
			if err != nil {
				return "", fmt.Errorf("%w: %s must be a JSON object: %w", errInvalid, name, err)
			}
			members = parsed
			return text, nil
		})
		return members, err
	case nil:
		// cookiecutter keeps a null as it is unless the user says something.
		text, err := answer(o, question, nil)
		if text == "" {
			return nil, err
		}
		return text, err
	}
	question.Default = textOf(value)
	return answer(o, question, nil)
}

// promptFor returns how the template words a question; for choices it may be an object
// with the wording in "__prompt__".
func promptFor(prompts *object, name string) string {
	if prompts == nil {
		return name
	}
	switch prompt := prompts.values[name].(type) {
	case string:
		if prompt != "" {
			return prompt
		}
	case *object:
		if text, ok := prompt.values["__prompt__"].(string); ok {
			return text
		}
	}
	return name
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "t", "yes", "y", "on":
		return true, true
	case "0", "false", "f", "no", "n", "off":
		return false, true
	}
	return false, false
}

func textOf(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "True" // as Python writes it, for choices like [true, false]
		}
		return "False"
	}
	return toJSON(value, -1, false)
}
