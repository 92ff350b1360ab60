"""The page of a neuron: what a reader sees of it, and what nobody may see."""

from starlette.testclient import TestClient


def test_the_page_and_its_numbers_are_there(client: TestClient, explained: tuple[int, int]) -> None:
    layer, neuron = explained

    assert client.get(f"/tiny/{layer}/{neuron}").status_code == 200
    assert client.get(f"/tiny/{layer}/{neuron}.json").json()["neuron"] == f"L{layer}N{neuron}"
