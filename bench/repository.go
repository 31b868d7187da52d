package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// flows is a generated repository: folders projects/<project>/<flow>/, of
// which three in five have two deployments in their file, and one in ten
// imports a module that it shares with others.
type flows struct {
	dir     string
	folders []string // absolute
}

// deployments counts what the files declare.
func (r *flows) deployments() (n int) {
	for i := range r.folders {
		n += deploymentsOf(i)
	}
	return n
}

func deploymentsOf(folder int) int {
	if folder%5 < 3 {
		return 2
	}
	return 1
}

func shares(folder int) bool { return folder%10 == 0 }

// needs are what the requirements files say besides Prefect: five texts, so
// five environments, of packages that Prefect brings along itself.
var needs = []string{"", "httpx", "pendulum", "pyyaml", "anyio"}

const flowOfRepository = `"""Loads what customer %[1]d ordered, and reports it."""

from datetime import date
from pathlib import Path
from typing import Optional
%[2]s
from prefect import flow, get_run_logger, task

QUERY = Path(__file__).with_name("orders.sql")


@task(retries=2, retry_delay_seconds=10)
def extract(day: date, limit: int) -> list:
    get_run_logger().info("%%s", QUERY.read_text())
    return list(range(limit))


@task
def load(rows: list, target: str) -> int:
    get_run_logger().info("writing to %%s", target)
    return len(rows)


@flow(name="Load orders %[1]d", description="Loads the orders of one day.")
def load_orders(day: Optional[date] = None, limit: int = 100, target: str = "warehouse", dry_run: bool = False):
    """Loads the orders of a day, of today if none is given."""
    rows = extract(day or date.today(), limit)
    if not dry_run:
        load(rows, target)
`

const deploymentOfRepository = `from flow import load_orders
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments import Deployment

for name, hour in %s:
    Deployment.build_from_flow(
        flow=load_orders,
        name=name,
        version="%d",
        tags=["orders", "bench"],
        parameters={"limit": 500, "target": "warehouse." + name},
        schedule=CronSchedule(cron=f"15 {hour} * * *", timezone="Europe/Oslo"),
        work_queue_name="kubernetes",
        apply=True,
    )
`

const sharedOfRepository = `"""Rates that several flows use, as of %d."""

RATES = {"EUR": 1.0, "NOK": 11.4}
`

// generate writes a repository of n flow folders below dir.
func generate(dir string, n int) (*flows, error) {
	r := &flows{dir: dir}
	for i := range n {
		r.folders = append(r.folders, filepath.Join(dir, "projects", fmt.Sprintf("team_%02d", i%25), fmt.Sprintf("orders_%03d", i)))
		if err := os.MkdirAll(r.folders[i], 0o755); err != nil {
			return nil, err
		}
		text := "prefect>=2.20,<3\n" + needs[i%len(needs)] + "\n"
		query := fmt.Sprintf("SELECT * FROM orders WHERE customer = %d AND day = :day\n", i)
		for name, text := range map[string]string{"requirements.txt": text, "orders.sql": query} {
			if err := os.WriteFile(filepath.Join(r.folders[i], name), []byte(text), 0o644); err != nil {
				return nil, err
			}
		}
		if err := r.change(i, 1); err != nil {
			return nil, err
		}
	}
	if err := r.changeShared(1); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("__pycache__/\n"), 0o644); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=Bench", "-c", "user.email=bench@example.test", "commit", "-q", "-m", "all flows"}} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
	}
	return r, nil
}

// change writes the code of a folder as of a version.
func (r *flows) change(i, version int) error {
	imports := ""
	if shares(i) {
		imports = "import sys\n\nsys.path.append(str(Path(__file__).resolve().parents[3]))\n\nfrom common.rates import RATES  # noqa: F401"
	}
	names := `[("daily", 6), ("nightly", 2)]`
	if deploymentsOf(i) == 1 {
		names = `[("daily", 6)]`
	}
	for name, text := range map[string]string{
		"flow.py":              fmt.Sprintf(flowOfRepository, i, imports),
		"orders.deployment.py": fmt.Sprintf(deploymentOfRepository, names, version),
	} {
		if err := os.WriteFile(filepath.Join(r.folders[i], name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// changeShared writes the shared module as of a version.
func (r *flows) changeShared(version int) error {
	if err := os.MkdirAll(filepath.Join(r.dir, "common"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, "common", "rates.py"), fmt.Appendf(nil, sharedOfRepository, version), 0o644)
}
