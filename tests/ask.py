"""Ask the served model one question with OpenAI's own client, as any program would.

The address, the key and the model come from the environment: OPENAI_BASE_URL, OPENAI_API_KEY.
"""

import sys

from openai import DefaultHttpxClient, OpenAI


def ask(question: str) -> str:
    """The answer of the first model that the endpoint serves, without any proxy. Raises openai.OpenAIError."""
    client = OpenAI(http_client=DefaultHttpxClient(trust_env=False))
    answer = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[{"role": "user", "content": question}],
        max_tokens=24,
    )
    return answer.choices[0].message.content or ""


if __name__ == "__main__":
    print(f"{sys.argv[1]!r} is answered {ask(sys.argv[1])!r}")
