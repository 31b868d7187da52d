package orion

import "strings"

// validName is Prefect's rule for names of flows, deployments, queues, pools,
// blocks and limits: / % & > < are refused.
func validName(field, name string) error {
	if name == "" {
		return Required(field)
	}
	if strings.ContainsAny(name, "/%&><") {
		return Refuse(field, "name contains an invalid character; these cannot be used: / % & > <")
	}
	return nil
}

// validSlug is the rule for block type slugs, artifact keys and input keys.
func validSlug(field, s string) error {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return Refuse(field, field+" must only contain lowercase letters, numbers, and dashes.")
		}
	}
	return nil
}
