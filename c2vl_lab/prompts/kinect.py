"""Where a joint in space lies in the colour image of a Kinect v2, for sets that publish no pixels (PKU-MMD).

Microsoft's devices carry their calibration inside and PKU-MMD does not publish that of its three. This is the typical
camera: focal length, centre and distance between the two cameras as read out of devices in
https://github.com/OpenKinect/libfreenect2/issues/41 (1081.37, 959.5, 539.5 and 52). Both cameras are taken to look the
same way, without lens distortion.

Error: against the 16 joints of NTU RGB+D that are printed in public, from three recordings between 3.0 and 4.4 m
(shahroudy/NTURGB-D#48 and quotations of the set's first file), the root mean square distance is 12 pixels of the
1920 x 1080 image. Across it is at most 10; down it is at most 2 in two recordings and 30 in the third, whose cameras
are tilted against each other. 12 pixels are 4 cm at 4 m: enough for a person's box, visible in a drawing.
"""

from __future__ import annotations

import numpy as np

COLOR_SIZE = (1920, 1080)  # width, height; also what NTU RGB+D's published pixels refer to
FOCAL = 1081.37  # pixels, both ways
CENTRE = (959.5, 539.5)
BASELINE = 0.052  # metres from the depth camera, the origin of joints, to the colour camera


def color_pixels(xyz: np.ndarray) -> np.ndarray:
    """Pixels (x, y) of joints in the 1920 x 1080 colour image.

    Args:
        xyz: (..., 3) Kinect camera coordinates in metres: x to the sensor's left, y up, z away from it.

    Returns:
        (..., 2) float32; NaN for joints that are not in front of the camera.
    """
    x, y, z = np.moveaxis(np.asarray(xyz, np.float32), -1, 0)
    depth = np.where(z > 0, z, np.nan)
    across = CENTRE[0] + FOCAL * (x + BASELINE) / depth
    return np.stack([across, CENTRE[1] - FOCAL * y / depth], axis=-1).astype(np.float32)
