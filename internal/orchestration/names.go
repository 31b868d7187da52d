package orchestration

import (
	"math/rand/v2"
)

// slug is the name a client gave, or two words.
func slug(name *string) string {
	if name != nil && *name != "" {
		return *name
	}
	return adjectives[rand.IntN(len(adjectives))] + "-" + animals[rand.IntN(len(animals))]
}

var adjectives = []string{
	"agile", "amber", "ample", "ancient", "apt", "arctic", "azure", "balanced", "bold", "brave", "bright", "brisk", "calm", "candid",
	"careful", "cheerful", "clear", "clever", "cosmic", "crisp", "curious", "daring", "deft", "eager", "early", "earnest", "elegant",
	"fabled", "fair", "fleet", "fluent", "fond", "frank", "fresh", "gentle", "gilded", "glad", "golden", "grand", "happy", "hardy",
	"hazel", "honest", "humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "lunar", "mellow", "merry", "mighty",
	"misty", "modest", "native", "neat", "nimble", "noble", "olive", "open", "patient", "placid", "plucky", "polar", "polite", "proud",
	"quick", "quiet", "rapid", "ready", "robust", "rosy", "royal", "rustic", "sage", "serene", "sharp", "silent", "silver", "sincere",
	"smart", "smooth", "snowy", "solar", "solid", "spry", "stable", "steady", "sterling", "still", "stout", "sunny", "swift", "tawny",
	"tender", "tidy", "tranquil", "true", "upbeat", "valiant", "velvet", "vivid", "warm", "wise", "witty", "young", "zesty",
}

var animals = []string{
	"albatross", "alpaca", "antelope", "badger", "beaver", "bison", "bobcat", "bumblebee", "bunting", "caribou", "catfish", "chamois",
	"cheetah", "chipmunk", "cobra", "condor", "corgi", "cormorant", "cougar", "crane", "cricket", "curlew", "dingo", "dolphin", "dormouse",
	"dove", "dragonfly", "eagle", "egret", "elk", "ermine", "falcon", "ferret", "finch", "firefly", "fox", "gazelle", "gecko", "gibbon",
	"goose", "grebe", "grouse", "gull", "hare", "hawk", "hedgehog", "heron", "hornet", "ibex", "ibis", "iguana", "impala", "jackal",
	"jaguar", "jay", "kestrel", "kingfisher", "kiwi", "koala", "lark", "lemming", "lemur", "leopard", "lizard", "llama", "lobster", "lynx",
	"magpie", "manatee", "marmot", "marten", "meerkat", "mole", "mongoose", "moose", "narwhal", "newt", "nightjar", "ocelot", "octopus",
	"oriole", "osprey", "otter", "owl", "oyster", "panda", "panther", "partridge", "pelican", "penguin", "petrel", "pheasant", "plover",
	"porcupine", "puffin", "quail", "rabbit", "raccoon", "raven", "reindeer", "robin", "salmon", "sandpiper", "seahorse", "seal",
	"shrew", "skylark", "sparrow", "squirrel", "starling", "stoat", "stork", "swallow", "swan", "swift", "tapir", "teal", "tern", "thrush",
	"toucan", "trout", "turtle", "viper", "vole", "walrus", "warbler", "weasel", "whale", "wolf", "wombat", "woodpecker", "wren", "yak",
}
