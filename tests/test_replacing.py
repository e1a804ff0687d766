"""``--force``: the old directory stays until the new one is whole, and interrupted work goes on."""

from pathlib import Path

import pytest

from stillhouse.commands._replacing import replacing
from transferset import StillhouseError
from transferset.errors import OccupiedError
from transferset.files import file_lock

NAMES = ("config.json", "_checkpoint", "part", "_candidates")


class Work:
    """Work of three steps that notes each; it stops before one of them, and goes on where it stopped."""

    def __init__(self, name, stop=None, error=KeyboardInterrupt):
        self.name, self.stop, self.error, self.taken = name, stop, error, []

    def __call__(self, place):
        state, made_from = Path(place) / "_checkpoint" / "state.json", Path(place) / "part"
        if made_from.exists() and made_from.read_text() != self.name:
            raise OccupiedError(f"{place}: must be the same, got another's: use --force")
        for step in range(int(state.read_text()) if state.exists() else 0, 3):
            if step == self.stop:
                raise self.error("stopped")
            self.taken.append(step)
            state.parent.mkdir(parents=True, exist_ok=True)
            made_from.write_text(self.name)
            state.write_text(str(step + 1))
        (Path(place) / "config.json").write_text(self.name)
        return self.name


def force(out, work):
    return replacing(str(out), True, NAMES.__contains__, work)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path):
    """A directory in which there is whole work."""
    Work("old")(tmp_path / "S")
    return tmp_path / "S"


def test_without_force_the_work_is_told_to_write_in_place(tmp_path):
    places = []
    assert replacing("S", False, bool, lambda place: places.append(place) or 3) == 3
    assert places == ["S"]


def test_the_new_takes_the_place_of_the_old_and_nothing_else_is_left(out, tmp_path):
    assert force(out, Work("new")) == "new"
    assert (out / "config.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["S"]


@pytest.mark.parametrize("there", ["nothing", "empty"])
def test_there_need_be_nothing_to_replace(tmp_path, there):
    if there == "empty":
        (tmp_path / "S").mkdir()
    for stop in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            force(tmp_path / "S", Work("new", stop))
    last = Work("new")
    force(tmp_path / "S", last)
    assert last.taken == [2]
    assert (tmp_path / "S" / "config.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["S"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, StillhouseError, OSError, MemoryError])
def test_what_was_interrupted_goes_on_and_the_old_stays_as_it_was(out, error):
    before = files_of(out)
    for stop in (1, 2):
        with pytest.raises(error):
            force(out, Work("new", stop, error))
        assert files_of(out) == before
    last = Work("new")
    force(out, last)
    assert last.taken == [2]
    assert (out / "config.json").read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, StillhouseError])
def test_of_work_that_committed_nothing_nothing_is_left(out, tmp_path, error):
    with pytest.raises(error):
        force(out, Work("new", 0, error))
    assert [path.name for path in tmp_path.iterdir()] == ["S"]


def test_what_another_command_began_is_thrown_away(out):
    with pytest.raises(KeyboardInterrupt):
        force(out, Work("new", 2))
    other = Work("other")
    force(out, other)
    assert other.taken == [0, 1, 2]
    assert (out / "config.json").read_text() == "other"


def test_work_that_was_killed_when_it_was_whole_takes_its_place(out):
    with pytest.raises(KeyboardInterrupt):
        force(out, Work("new", 2))
    Work("new")(out.with_name("S.force") / "new")
    last = Work("new")
    force(out, last)
    assert (last.taken, (out / "config.json").read_text()) == ([], "new")


@pytest.mark.parametrize("changed", [False, True])
def test_killed_while_they_changed_places(out, tmp_path, changed):
    beside = tmp_path / "S.force"
    with pytest.raises(KeyboardInterrupt):
        force(out, Work("new", 2))
    Work("new")(beside / "new")
    out.rename(beside / "old")
    if changed:
        (beside / "new").rename(out)
    # The next run fails: what is there is whole.
    with pytest.raises(StillhouseError):
        force(out, Work("third", 0, StillhouseError))
    assert (out / "config.json").read_text() == ("new" if changed else "old")
    force(out, Work("new"))
    assert (out / "config.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["S"]


def test_a_second_one_is_refused_and_takes_nothing_from_the_first(out):
    before = files_of(out)

    def first(place):
        with pytest.raises(StillhouseError, match=r"S\.force: must not be in use"):
            force(out, Work("second"))
        return Work("first")(place)

    force(out, first)
    assert files_of(out) != before
    assert (out / "config.json").read_text() == "first"


def test_a_directory_in_use_is_not_replaced(out):
    before = files_of(out)
    with file_lock(out / "_checkpoint" / "lock", "exclusive"), pytest.raises(StillhouseError, match="not be in use"):
        force(out, Work("new"))
    (out / "_checkpoint" / "lock").unlink()
    assert files_of(out) == before


def test_what_was_put_there_meanwhile_is_not_deleted(out):
    def work(place):
        (out / "thesis.txt").write_text("mine")
        return Work("new")(place)

    with pytest.raises(StillhouseError, match=r"must hold only what this .* for --force, got 'thesis\.txt'"):
        force(out, work)
    (out / "thesis.txt").unlink()
    last = Work("new")
    force(out, last)
    assert (last.taken, (out / "config.json").read_text()) == ([], "new")


@pytest.mark.parametrize("name", ["config.json", "_manifest/about.json", "S"])
def test_a_directory_of_the_users_with_that_name_is_left_alone(out, tmp_path, name):
    mine = tmp_path / "S.force" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(StillhouseError, match=r"S\.force: must be what --force works in, got something else"):
        force(out, Work("new"))
    assert mine.read_text() == "mine"
    assert (out / "config.json").read_text() == "old"


def test_what_models_offered_is_there_for_the_new_and_comes_back_to_the_old(out):
    (out / "_candidates").mkdir()
    (out / "_candidates" / "one").write_text("asked")
    before = files_of(out)

    def asks(place, stop=None):
        assert "_candidates/one" in files_of(out.with_name("S.force") / "new")
        return Work("new", stop)(place)

    for stop in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            force(out, lambda place, stop=stop: asks(place, stop))
        assert files_of(out) == before
    force(out, Work("other"))
    assert (out / "_candidates" / "one").read_text() == "asked"
    assert (out / "config.json").read_text() == "other"


def test_a_mount_point_is_refused_before_any_work(out, monkeypatch):
    monkeypatch.setattr("pathlib.Path.is_mount", lambda path: path == out)
    work = Work("new")
    with pytest.raises(StillhouseError, match="must not be a mount point"):
        force(out, work)
    assert work.taken == []
