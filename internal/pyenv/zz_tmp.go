package pyenv

func (m *Manager) Locked(e Environment) []string { return nil }
