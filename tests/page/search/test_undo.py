"""What a key may undo, and how a service without keys undoes."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from demo.process import ServiceProcess
from demo.server import PictureServer
from demo.show.tour import Api, Shown, index, put_up
from tests.page.chromium import SIZES, Watched, context
from tests.page.conftest import READ_KEY, WRITE_KEY, Open
from tests.page.search.conftest import Added, stored, tile, toast
from tests.page.seen import ids, settled
from tests.running import environment


def test_what_a_key_may_not_is_told_or_asked_first(watch: Open, api: Api, added: Added) -> None:
    first, second = added({"shop": "mine"}, {"shop": "mine"})
    for key in (READ_KEY, WRITE_KEY):
        window = watch(key=key)
        window.expected = {403}  # neither may see the log
        page = window.open()
        settled(page)
        tile(page, first).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        asked = page.get_by_role("dialog")
        expect(asked).to_contain_text("It cannot be undone from here")
        asked.get_by_role("button", name="Cancel").click()
        expect(asked).to_be_hidden()
        assert stored(api, first) == {"shop": "mine"}
        tile(page, first).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        told = "'write' is needed" if key == READ_KEY else "1 picture deleted."
        expect(toast(page)).to_contain_text(told)
        expect(toast(page).get_by_role("button", name="Undo")).to_have_count(0)
    assert (stored(api, first), stored(api, second)) == ("gone", {"shop": "mine"})


@pytest.fixture(scope="module")
def unlocked(
    tmp_path_factory: pytest.TempPathFactory, pictures: PictureServer
) -> Iterator[ServiceProcess]:
    """A service without keys, with a few pictures."""
    folder = tmp_path_factory.mktemp("unlocked")
    settings = environment(folder, IMAGE_SEARCH_API_KEYS="")
    with ServiceProcess(settings, folder / "log") as running:
        list(index(Api(running.url), put_up(pictures, 6)))
        yield running


@pytest.mark.parametrize("size", sorted(SIZES))
def test_without_keys_others_changes_are_asked_about(
    browser: Browser, unlocked: ServiceProcess, size: str, scenes: list[Shown]
) -> None:
    window = Watched(context(browser, size).new_page(), unlocked.url)
    page, api = window.open(), Api(unlocked.url)
    before = ids(page)
    for is_alone in (True, False):
        tile(page, before[0]).click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(toast(page)).to_contain_text("1 picture deleted.")
        assert ids(page) == before[1:]
        if not is_alone:
            api.session.patch(
                f"{api.url}/images/{before[1]}", json={"metadata": {"shop": "other"}}, timeout=60
            )
        toast(page).get_by_role("button", name="Undo").click()
        if not is_alone:
            expect(toast(page)).to_contain_text("1 change made since would be undone, too.")
            assert stored(api, before[0]) == "gone"
            toast(page).get_by_role("button", name="Undo all").click()
        expect(toast(page)).to_contain_text("Brought back.")
        assert stored(api, before[0]) != "gone"
        assert ids(page) == before
    assert stored(api, before[1])["shop"] != "other"
    page.context.close()
    window.check()
