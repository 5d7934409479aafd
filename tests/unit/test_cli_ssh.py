"""ssh: the command line of OpenSSH that it becomes."""

import pytest
from cli_fakes import Cli

from sparkctl.__main__ import main


def test_ssh_becomes_openssh_with_our_arguments(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda file, argv: taken.append([file, *argv]))
    (cli.folder / "unified-config.local.env").write_text(
        "SSH_KEY_FILE=key\nSSH_KNOWN_HOSTS_FILE=hosts\nWORKER_NODE_SSH_PORT=2222\n"
    )
    (cli.folder / "key").write_text("")
    (cli.folder / "hosts").write_text("")
    for argv in (["ssh"], ["ssh", "--accept-new-host-keys", "spark-2", "--", "echo a; echo b", "--color"]):
        cli.patch.setattr("sys.argv", ["sparkctl", *argv])
        with pytest.raises(SystemExit):
            main()
    own = ["-i", str(cli.folder / "key"), "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=hosts"]
    new = ["-o", "StrictHostKeyChecking=accept-new"]
    patience = ["-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]
    start, words = ["ssh", "ssh", *patience, "-l", "spark"], ["--", "echo a; echo b", "--color"]
    assert taken == [
        [*start, *own, "192.0.2.1"],
        [*start, "-p", "2222", *own, *new, "192.0.2.2", *words],
    ]


@pytest.mark.parametrize(
    ("words", "terminal", "asked"), [(["top"], True, True), (["top"], False, False), ([], True, False)]
)
def test_a_command_has_the_terminal_that_we_have(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], terminal: bool, asked: bool
) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda file, argv: taken.append(argv))
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    cli("ssh", "spark-2", "--", *words)
    assert ("-t" in taken[0]) is asked
