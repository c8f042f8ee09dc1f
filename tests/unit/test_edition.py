"""Which statements bring a database into the shape of the server's edition of TimescaleDB."""

import re

import pytest

from sql.edition import Edition, EditionError, edition_of, edition_statements, statements_to_apply


def test_apache_needs_nothing() -> None:
    """The migrations alone make the Apache edition's shape."""
    assert statements_to_apply(Edition.APACHE, "2.19.3", Edition.APACHE) == ()


def test_first_time_on_community_changes_the_roll_ups() -> None:
    """A database that the migrations made gets continuous aggregates, then their policies."""
    assert statements_to_apply(Edition.COMMUNITY, "2.19.3", Edition.APACHE) == ("community.sql", "policies.sql")


def test_later_times_on_community_renew_policies_alone() -> None:
    """What was changed once stays; only the policies follow the retention."""
    assert statements_to_apply(Edition.COMMUNITY, "2.20.0", Edition.COMMUNITY) == ("policies.sql",)


def test_no_way_back_to_apache() -> None:
    """A community database on an Apache server is refused with what to do."""
    with pytest.raises(EditionError, match=r"timescaledb\.license = 'timescale'"):
        statements_to_apply(Edition.APACHE, "2.19.3", Edition.COMMUNITY)


@pytest.mark.parametrize("version", ["2.9.1", "2.18.2", "1.7.5"])
def test_old_community_versions_are_refused(version: str) -> None:
    """The columnstore of older versions is not what the statements are written for."""
    with pytest.raises(EditionError, match="too old"):
        statements_to_apply(Edition.COMMUNITY, version, Edition.APACHE)


def test_unknown_licence_is_refused() -> None:
    """Only the two known values of timescaledb.license are taken."""
    assert edition_of("timescale") is Edition.COMMUNITY
    with pytest.raises(EditionError, match="must be apache or timescale"):
        edition_of("other")


@pytest.mark.parametrize("name", ["community.sql", "policies.sql"])
def test_statements_are_cut_where_they_end(name: str) -> None:
    """Each statement begins with its verb and has balanced quotes and brackets: none is cut inside."""
    for statement in edition_statements(name):
        code = re.sub(r"--[^\n]*", "", statement).strip()
        assert re.match(r"(ALTER|CALL|CREATE|DO|SELECT|UPDATE)\b", code), code
        assert code.count("(") == code.count(")"), code
        assert code.count("'") % 2 == 0, code
        assert code.count("$$") % 2 == 0, code


def test_both_editions_have_the_same_columns() -> None:
    """The views of the community edition show the columns of the Apache edition's tables, in their order."""
    views = [one for one in edition_statements("community.sql") if "CREATE OR REPLACE VIEW" in one]
    found = {
        name: set(re.findall(r"SELECT ([\w, ]+) FROM reading_", one))
        for one in views
        for name in re.findall(r"VIEW (\w+)", one)
    }
    assert found == {
        "reading_hourly": {"device_id, hour, index_ml, flow_lh, pressure_pa, lel_pct, samples"},
        "reading_daily": {"device_id, day, first_index_ml, last_index_ml, pressure_pa, lel_pct, samples"},
    }
