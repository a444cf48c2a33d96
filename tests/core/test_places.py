"""Who controls the state directory could stand in for the plane: only its user may."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.core.places import check_owner, make_private

STRANGER = 54_321


def test_a_directory_is_made_private_and_one_that_is_there_tightened(tmp_path: Path) -> None:
    fresh, loose = tmp_path / "a" / "b", tmp_path / "loose"
    loose.mkdir(mode=0o755)
    for directory in (fresh, loose):
        make_private(directory)
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_file_in_its_place_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="cannot make the directory"):
        make_private(tmp_path / "file")


def test_a_link_of_our_own_may_stand_for_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make_private(tmp_path / "link")
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given_away", ["link", "real"])
def test_a_link_or_directory_of_somebody_else_is_refused(tmp_path: Path, given_away: str) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.chown(tmp_path / given_away, STRANGER, -1, follow_symlinks=False)
    with pytest.raises(Forbidden, match=str(STRANGER)):
        check_owner(tmp_path / "link")


NO_ROOM = """
import resource, sys
from pathlib import Path
from watchkeeper.core.places import write_switch
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
write_switch(Path(sys.argv[1]), "loops")
"""


def test_a_switch_is_thrown_also_where_there_is_no_room_for_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "STOP"
    subprocess.run([sys.executable, "-c", NO_ROOM, str(file)], check=True)
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
