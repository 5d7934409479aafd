"""`/uploads` over the real gateway: what is taken, whose it is, and how much of a body is read."""

import asyncio
import base64
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_world import KEY, World, document_of, world
from pictures import moving, picture, png_that_says
from sqlalchemy import create_engine, insert
from standins.scripted import running

from sparkctl.agents.api.app import create_app
from sparkctl.agents.core.failure import Refused, TooLarge, Unknown
from sparkctl.agents.core.platform import opened
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.tables import Upload
from sparkctl.agents.images import uploads
from sparkctl.agents.images.check import first_frame

FORM = "multipart/form-data; boundary=b"


def send(gateway: World, data: bytes, media: str = "image/png", name: str = "../../a.png") -> dict[str, object]:
    answer = gateway.client.post("/uploads", files={"file": (name, data, media)})
    assert answer.status_code == 201, answer.text
    body: dict[str, object] = answer.json()
    return body


def files_of(gateway: World) -> list[str]:
    return sorted(path.name for path in Path(gateway.document.where.data, "uploads").glob("*"))


def test_an_image_is_kept_listed_given_back_and_deleted(gateway: World) -> None:
    data = picture("JPEG", (64, 48))
    body = send(gateway, data, "image/jpeg")
    assert (body["media"], body["size"], body["width"], body["height"]) == ("image/jpeg", len(data), 64, 48)
    assert [one["id"] for one in gateway.client.get("/uploads").json()] == [body["id"]]
    assert files_of(gateway) == [body["id"]]
    got = gateway.client.get(f"/uploads/{body['id']}")
    assert got.content == data
    assert got.headers["content-type"] == "image/jpeg"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert gateway.client.delete(f"/uploads/{body['id']}").status_code == 204
    assert gateway.client.get(f"/uploads/{body['id']}").status_code == 404
    assert gateway.client.delete(f"/uploads/{body['id']}").status_code == 404
    assert files_of(gateway) == []


def test_what_an_image_is_called_does_not_make_it_one(gateway: World) -> None:
    assert send(gateway, picture("PNG"), "image/jpeg")["media"] == "image/png"
    assert send(gateway, picture("WEBP"), "application/octet-stream")["media"] == "image/webp"
    for data, media in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/png"),
        (picture("PNG"), "image/svg+xml"),
        (picture("PNG"), "text/html"),
        (b"", "image/png"),
        (picture("TIFF"), "image/png"),
    ):
        answer = gateway.client.post("/uploads", files={"file": ("a.png", data, media)})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert len(files_of(gateway)) == 2, "what was refused has left no file"


def test_a_bomb_is_refused(gateway: World) -> None:
    answer = gateway.client.post("/uploads", files={"file": ("a.png", png_that_says(30_000, 30_000), "image/png")})
    assert answer.status_code == 413
    assert "30000 x 30000" in answer.json()["error"]["message"]


def test_a_body_above_the_limit_is_refused(tmp_path: Path) -> None:
    with world(tmp_path, limits={"upload_mib": 1}) as made:
        padded = picture() + b"\x00" * 2**20
        answer = made.client.post("/uploads", files={"file": ("a.png", padded, "image/png")})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
        assert answer.json()["error"]["message"] == "an image may have at most 1 MiB"
        assert files_of(made) == []


def test_the_same_image_is_kept_once(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as made:
        first, again = (send(made, picture("PNG", (9, 9)))["id"] for _ in range(2))
        assert (first, files_of(made)) == (again, [first])
        Path(made.document.where.data, "uploads", str(first)).unlink()
        send(made, picture("PNG", (9, 9)))
        assert made.client.get(f"/uploads/{first}").content == picture("PNG", (9, 9))


def test_a_user_keeps_so_much_and_no_more(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database, limits={"stored_mib": 1}) as made:
        text = made.client.post("/documents", files={"file": ("a.txt", b"x " * (2**19 - 500))})
        assert text.status_code == 202, text.text
        refused = [
            made.client.post("/uploads", files={"file": ("a.png", picture("PNG", (400, 400)))}),
            made.client.post("/documents", files={"file": ("b.txt", b"y " * 50_000)}),
        ]
        for answer in refused:
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
            assert "1.0 MiB" in answer.json()["error"]["message"]
        assert files_of(made) == []
        made.client.delete(f"/documents/{text.json()['document_id']}").raise_for_status()
        send(made, picture("PNG", (400, 400)))


@pytest.mark.parametrize("path", ["/chat", "/chat/stream"])
def test_an_image_that_is_not_there_is_told_before_a_model_is_asked(gateway: World, path: str) -> None:
    answer = gateway.client.post(path, json={"message": "look", "images": ["gone"]})
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "no upload of yours has the id gone")
    assert gateway.model.bodies == []


def test_another_users_upload_is_not_there(gateway: World) -> None:
    row = {"id": "ab" * 16, "user": "mallory", "media": "image/png", "size": 1, "sha256": "", "width": 1, "height": 1}
    database = create_engine(f"sqlite:///{Path(gateway.document.where.data, 'platform.sqlite')}")
    with database.begin() as connection:
        connection.execute(insert(Upload).values(row))
    database.dispose()
    assert gateway.client.get("/uploads").json() == []
    for call in (gateway.client.get, gateway.client.delete):
        assert call(f"/uploads/{row['id']}").status_code == 404


@pytest.mark.parametrize("name", ["..%2Fplatform.sqlite", "%2Fetc%2Fpasswd", "..", "abc.png", "g" * 32])
def test_a_path_is_no_id(gateway: World, name: str) -> None:
    assert gateway.client.get(f"/uploads/{name}").status_code in (404, 405, 422)


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n', FORM),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", FORM),
        (b"not multipart", FORM),
        (b"not multipart", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"", FORM),
    ],
)
def test_a_body_that_is_no_file_is_a_bad_request(gateway: World, body: bytes, media: str) -> None:
    answer = gateway.client.post("/uploads", content=body, headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_two_files_at_once_are_refused(gateway: World) -> None:
    files = [("file", ("a.png", picture(), "image/png"))] * 2
    assert gateway.client.post("/uploads", files=files).status_code == 400


def test_an_upload_needs_a_key(gateway: World) -> None:
    answer = gateway.client.post("/uploads", files={"file": ("a.png", picture())}, headers={"Authorization": ""})
    assert answer.status_code == 401


def test_an_endless_body_is_left_at_the_limit(tmp_path: Path) -> None:
    document = document_of(tmp_path, "http://127.0.0.1:9/v1", limits={"upload_mib": 1})
    with running(create_app(document)) as address:
        sent, answer = drip(int(address.rpartition(":")[2]))
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]
    assert sent < 64 * 2**20, "the gateway went on reading"
    assert list(Path(document.where.data, "uploads").glob("*")) == []


def drip(port: int) -> tuple[int, bytes]:
    """Send chunks until the server answers or closes; how much it took, and its answer."""
    head = (
        f"POST /uploads HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(part), part))
        for sent in pieces_on(link):
            if sent >= 64 * 2**20:
                break
        link.settimeout(60)
        return sent, link.recv(65536)


def pieces_on(link: socket.socket) -> Iterator[int]:
    piece, sent = b"10000\r\n" + b"x" * 65536 + b"\r\n", 0
    link.settimeout(2)
    try:
        while True:
            link.sendall(piece)
            sent += len(piece)
            yield sent
    except OSError:
        yield sent


def test_a_data_url_is_kept_like_an_upload(tmp_path: Path) -> None:
    async def work() -> None:
        document = document_of(tmp_path, "http://127.0.0.1:9/v1", limits={"upload_mib": 1})
        ann, bob = Principal("ann"), Principal("bob")
        async with opened(document) as platform:
            url = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
            kept = await uploads.from_data_url(platform, ann, url)
            assert await uploads.data_url(platform, ann, kept.id) == url
            with pytest.raises(Unknown):
                await uploads.data_url(platform, bob, kept.id)
            animated = await uploads.store(platform, ann, moving("GIF"), "image/gif")
            assert (await uploads.data_url(platform, ann, animated.id)).startswith("data:image/png;base64,")
            for wrong in (
                "http://127.0.0.1/a.png",
                "file:///etc/passwd",
                "data:image/png,abc",
                "data:image/png;base64,@@@",
                "data:text/html;base64,PGI+",
                "data:image/png;base64,PGI+",
            ):
                with pytest.raises(Refused):
                    await uploads.from_data_url(platform, ann, wrong)
            with pytest.raises(TooLarge):
                await uploads.from_data_url(platform, ann, "data:image/png;base64," + "A" * 2**21)
            assert len(await uploads.uploads_of(platform, ann)) == 2

    asyncio.run(work())


def test_one_picture_is_decoded_at_a_time_also_where_who_asked_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended, most = [0], [0], [0]

    def decode(data: bytes, media: str) -> bytes | None:
        begun[0] += 1
        most[0] = max(most[0], begun[0] - ended[0])
        time.sleep(0.05)
        still = first_frame(data, media)
        ended[0] += 1
        return still

    async def work() -> None:
        async with opened(document_of(tmp_path, "http://127.0.0.1:9/v1")) as platform:
            anna = Principal("anna")
            kept = await uploads.store(platform, anna, moving("GIF"))
            asked = [asyncio.create_task(uploads.data_url(platform, anna, kept.id)) for _ in range(6)]
            while not begun[0]:
                await asyncio.sleep(0.001)
            asked[0].cancel()
            urls = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(url).startswith("data:image/png;base64,") for url in urls[1:]] == [True] * 5
        assert isinstance(urls[0], asyncio.CancelledError)

    monkeypatch.setattr(uploads, "first_frame", decode)
    asyncio.run(work())
    assert most[0] == 1
