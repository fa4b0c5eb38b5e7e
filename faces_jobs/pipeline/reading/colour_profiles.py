"""Converts pictures with an embedded colour profile, as phones and cameras write them, to sRGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

# Mode of a picture -> colour space of a profile that describes it.
_SPACES = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_DAMAGED_PROFILE = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def in_srgb(image: Image.Image) -> Image.Image:
    """Return the picture in the colours that its profile describes, as RGB, or RGBA if it was that.

    Returns the same picture if it has no profile, one of sRGB, or one that can't be used.
    """
    data = image.info.get("icc_profile")
    if not data or image.mode not in _SPACES:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        description = profile.profile.profile_description or ""
        # Most profiles are of sRGB; converting would take longer than decoding does.
        if profile.profile.xcolor_space.strip() != _SPACES[image.mode] or "sRGB" in description:
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, outputMode=mode) or image
    except _DAMAGED_PROFILE:
        return image
