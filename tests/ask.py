"""Ask the first served model one question with OpenAI's own client, as any program would: the agents, where there are.

The address, the key and the model come from the environment: OPENAI_BASE_URL, OPENAI_API_KEY.
"""

import sys

from openai import DefaultHttpxClient, OpenAI


def ask(question: str) -> tuple[str, str]:
    """The answer of the first model that the endpoint serves, and how agents came to it, empty for a model alone.

    Goes through no proxy. Raises openai.OpenAIError.
    """
    client = OpenAI(http_client=DefaultHttpxClient(trust_env=False))
    answer = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[{"role": "user", "content": question}],
        max_tokens=24,
    )
    message = answer.choices[0].message
    return message.content or "", str((message.model_extra or {}).get("reasoning_content") or "")


if __name__ == "__main__":
    said, route = ask(sys.argv[1])
    if route:
        print(f"routed: {' > '.join(route.split(chr(10)))}")
    print(f"{sys.argv[1]!r} is answered {said!r}")
