"""The two kinds of prompt, with an answer to each, that the tests of the request store keep."""

from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import ChatPrompt, EchoedToken, EchoPrompt, Message, Prompt, Reply

CHAT = ChatPrompt(
    messages=(Message("system", "Say what the neuron likes."), Message("user", "rouge\t10\n\ud800 é")),
    layout="pairs/1",
    longest_reply=60,
    schema={"properties": {"b": {"type": "string"}, "a": {"type": "string"}}},
)
ECHO = EchoPrompt(text="The sky is blue", layout="all_at_once/1")
REPLIED = Replied(Reply("words for colours", reasoning="Red, blue ..."), Usage(90, 5, 40), "tiny-2@127.0.0.1")
ECHOED = Replied(
    Reply("", echoed=(EchoedToken("The"), EchoedToken(" sky", {" sky": -0.25, " sea": -2.0}))), Usage(4), "tiny-2"
)
PARAMETERS = {"temperature": 0.7, "seed": 3, "max_tokens": 60}
KEY = "ab" * 32


def keep(store: RequestStore, key: str = KEY, replied: Replied = REPLIED, prompt: Prompt = CHAT) -> None:
    store.put(key, prompt, replied, seconds=1.5, parameters=PARAMETERS, about="L3N307")
