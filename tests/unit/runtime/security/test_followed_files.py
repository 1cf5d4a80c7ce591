"""What a followed file that nobody foresaw does to the one that mends it: nothing."""

from __future__ import annotations

import asyncio

from microgate.errors import KeyMaterialError
from microgate.runtime.security import followed_files
from microgate.runtime.security.followed_files import FollowedFiles


def test_a_file_is_followed_on_whatever_its_reading_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(followed_files, "LOOK_SECONDS", 0.01)
    file = tmp_path / "key.pem"
    file.write_text("good")

    def load():
        match file.read_text():
            case "strange":
                raise RuntimeError
            case "broken":
                raise KeyMaterialError("broken")
            case text:
                return text

    async def follow():
        taken: asyncio.Queue[str] = asyncio.Queue()
        read: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def loads():
            loop.call_soon_threadsafe(read.put_nowait, file.read_text())
            return load()

        followed = FollowedFiles("key", [str(file)], loads, taken.put_nowait)
        try:
            for text in ("strange", "broken", "strange again", "better"):
                file.write_text(text)
                async with asyncio.timeout(10):
                    while await read.get() != text:
                        pass
            async with asyncio.timeout(10):
                while await taken.get() != "better":
                    pass
        finally:
            followed.close()

    asyncio.run(follow())
