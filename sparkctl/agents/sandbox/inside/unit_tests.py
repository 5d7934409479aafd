"""Run as a job: `test_solution.py` beside it, its TestCases and its functions named test_*; the last line is JSON."""

import importlib
import json
import sys
import unittest


def main() -> int:
    """Load, run, and say what came of it; 1 unless every test passed and there was one."""
    module = importlib.import_module("test_solution")
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    suite.addTests(
        unittest.FunctionTestCase(one, description=name)
        for name, one in sorted(vars(module).items())
        if name.startswith("test") and callable(one) and not isinstance(one, type)
    )
    done = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(done.failures) + len(done.errors) + len(done.unexpectedSuccesses)
    print(json.dumps({"ran": done.testsRun, "failed": failed, "skipped": len(done.skipped)}), flush=True)
    return 0 if done.testsRun > len(done.skipped) and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
