//! Where a guest's picture goes on the host's screen: in the middle, as it is if it fits, else shrunk so that all of it does.

use core::ops::Range;
use hvm::display::{Rect, Size};

/// A picture's place on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    picture: Size,
    /// Where it starts, and how large it is there.
    shown: Rect,
}

impl Place {
    /// For a picture on a screen; neither is empty.
    pub fn new(picture: Size, screen: Size) -> Self {
        let Size { width, height } = picture;
        let fits = width <= screen.width && height <= screen.height;
        let shown = if fits {
            picture
        } else if u64::from(screen.width) * u64::from(height)
            <= u64::from(screen.height) * u64::from(width)
        {
            Size {
                width: screen.width,
                height: part(height, screen.width, width).max(1),
            }
        } else {
            Size {
                width: part(width, screen.height, height).max(1),
                height: screen.height,
            }
        };
        Self {
            picture,
            shown: Rect {
                x: (screen.width - shown.width) / 2,
                y: (screen.height - shown.height) / 2,
                width: shown.width,
                height: shown.height,
            },
        }
    }

    /// The pixels of the screen that a part of the picture reaches.
    pub fn reached(&self, rect: Rect) -> Rect {
        let columns = covered(rect.x, rect.width, self.shown.width, self.picture.width);
        let lines = covered(rect.y, rect.height, self.shown.height, self.picture.height);
        Rect {
            x: self.shown.x + columns.start,
            y: self.shown.y + lines.start,
            width: columns.end - columns.start,
            height: lines.end - lines.start,
        }
    }

    /// The columns of the picture that a column of the screen shows: one, or those that are put together.
    pub fn columns(&self, x: u32) -> Range<u32> {
        source(x - self.shown.x, self.picture.width, self.shown.width)
    }

    /// The lines of the picture that a line of the screen shows.
    pub fn lines(&self, y: u32) -> Range<u32> {
        source(y - self.shown.y, self.picture.height, self.shown.height)
    }
}

/// `value * to / from`.
fn part(value: u32, to: u32, from: u32) -> u32 {
    (u64::from(value) * u64::from(to) / u64::from(from.max(1))) as u32
}

fn covered(start: u32, length: u32, shown: u32, picture: u32) -> Range<u32> {
    let first = part(start, shown, picture);
    let end = part(start.saturating_add(length), shown, picture).saturating_add(1);
    first..end.min(shown).max(first)
}

fn source(at: u32, picture: u32, shown: u32) -> Range<u32> {
    let first = part(at, picture, shown);
    first
        ..part(at + 1, picture, shown)
            .max(first + 1)
            .min(picture.max(first + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn small_pictures_are_shown_as_they_are_in_the_middle() {
        let place = Place::new(size(640, 480), size(1280, 800));
        let whole = place.reached(size(640, 480).whole());
        assert_eq!(
            (whole.x, whole.y, whole.width, whole.height),
            (320, 160, 640, 480)
        );
        assert_eq!(place.columns(320), 0..1);
        assert_eq!(place.lines(639), 479..480);
    }

    #[test]
    fn large_pictures_keep_their_shape() {
        let place = Place::new(size(1600, 1200), size(800, 450));
        let whole = place.reached(size(1600, 1200).whole());
        assert_eq!(
            (whole.x, whole.y, whole.width, whole.height),
            (100, 0, 600, 450)
        );
    }

    proptest! {
        #[test]
        fn every_pixel_of_the_picture_is_reached_and_shown(
            picture in (1_u32..3000, 1_u32..3000), screen in (1_u32..3000, 1_u32..3000), x in 0_u32..3000, y in 0_u32..3000,
        ) {
            let (picture, screen) = (size(picture.0, picture.1), size(screen.0, screen.1));
            let (x, y) = (x % picture.width, y % picture.height);
            let place = Place::new(picture, screen);
            let reached = place.reached(Rect { x, y, width: 1, height: 1 });
            prop_assert!(reached.x + reached.width <= screen.width);
            prop_assert!(reached.y + reached.height <= screen.height);
            let columns = reached.x..reached.x + reached.width;
            prop_assert!(columns.clone().any(|column| place.columns(column).contains(&x)));
            for column in columns {
                prop_assert!(place.columns(column).end <= picture.width);
            }
            let mut lines = reached.y..reached.y + reached.height;
            prop_assert!(lines.any(|line| place.lines(line).contains(&y)));
        }
    }
}
